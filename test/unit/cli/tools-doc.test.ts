/** docs/tools.md names every flag and every command that it is about, and no flag that there is not. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type CommandDependencies, commandsOf } from '../../../src/cli/commands.ts'
import { completedCommands } from '../../../src/cli/completion/words.ts'

const DOC = readFileSync(join(import.meta.dirname, '../../../docs/tools.md'), 'utf8')
const ABOUT = ['pub', 'sub', 'rr', 'top', 'doctor', 'status', 'completion', 'store']
/** How a gateway is found stands above all commands; help is everywhere. */
const EVERYWHERE = ['-c', '--config', '--data-dir', '-h', '--help']

const commands = commandsOf({ checks: {}, passwd: {}, store: {} } as unknown as CommandDependencies<never>)

test('every flag, and no other', async () => {
  const about = (await completedCommands(commands)).filter(({ words }) => ABOUT.includes(words[0] ?? ''))
  const flags = new Set(about.flatMap(each => each.flags.flatMap(({ names }) => names)))
  expect(flags.size).toBeGreaterThan(60)
  const written = new Set([...DOC.matchAll(/(?<![\w-])--?[a-zA-Z][\w-]*/g)].map(([flag]) => flag))
  expect([...flags].filter(flag => !EVERYWHERE.includes(flag) && !written.has(flag))).toEqual([])
  const table = DOC.split('\n').filter(line => line.startsWith('| `-'))
  const rows = table.flatMap(line => [...(line.split('|')[1] ?? '').matchAll(/`(--?[\w-]+)`/g)].map(([, flag]) => flag))
  expect(rows.length).toBeGreaterThan(60)
  expect(rows.filter(flag => !flags.has(flag ?? ''))).toEqual([])
})

test('every command of the store', async () => {
  const found = Object.keys(commands).filter(name => name.startsWith('store '))
  const section = DOC.split(/^## /m).find(each => each.startsWith('`larder store`')) ?? ''
  for (const name of found) expect(section).toMatch(new RegExp(`^\\| \`${name.replace('store ', '')}[\` ]`, 'm'))
})
