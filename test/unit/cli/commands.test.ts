/**
 * The table of all commands: each has examples that its own flags take, and the completions that are made from the table do in
 * real shells what they should. The commands that are typed here are those of the examples; nothing is run.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CommandDependencies, commandsOf } from '../../../src/cli/commands.ts'
import { completedCommands } from '../../../src/cli/completion/words.ts'
import type { Command } from '../../../src/cli/larder.ts'
import { parseMosquittoArguments } from '../../../src/cli/mosquitto-arguments.ts'
import { readSettings } from '../../../src/cli/mqtt/settings.ts'
import { needs } from '../../support/needs.ts'
import { Terminal } from './terminal.ts'

/** Nothing is used of what the commands need to run. */
const commands = commandsOf({
  checks: {},
  passwd: {},
  store: {},
  watchFiles: () => {},
  loadClient: async () => ({ pid: 1 }),
} as unknown as CommandDependencies<never>)
const names = Object.keys(commands)

/** The words of a command line as a shell makes them; what is behind a pipe or a redirection is not ours. */
function wordsOf(line: string): string[] {
  const script = line.replace(/^(.*\| |sudo )(?=larder )/, '').replace(/ (\||>|&&) .*$/, '')
  return execFileSync('bash', ['-c', `larder() { printf '%s\\0' "$@"; }; ${script}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1)
}

describe.each(names)('larder %s', name => {
  const command = commands[name] as Command

  test('has examples, each of which it takes', async () => {
    expect(command.examples.length).toBeGreaterThan(0)
    for (const [line, what] of command.examples) {
      expect(what).not.toBe('')
      const words = wordsOf(line)
      expect(words.slice(0, name.split(' ').length).join(' ')).toBe(name)
      const rest = words.slice(name.split(' ').length)
      if (name === 'mosquitto') expect(parseMosquittoArguments(rest).help).toBe(false)
      else if (command.readsAll === true) expect(readSettings(name as 'pub', rest, 1)).toBeTypeOf('object')
      else expect(await taken(command, name, rest)).toBe(true)
    }
  })

  test('shows them in its help, with the exit status', async () => {
    const here = new Terminal({ commands: { ...commands } })
    expect([await here.run(...name.split(' '), '--help'), here.err]).toEqual([0, []])
    const help = here.out.join('\n')
    for (const [line, what] of command.examples) {
      expect(help).toContain(line)
      expect(help).toContain(what)
    }
    expect(help).toMatch(/^Exit status: /m)
  })
})

/** Whether the flags are understood, and there are no more words behind them than the command has operands. */
async function taken(command: Command, name: string, rest: string[]): Promise<boolean> {
  let ran = false
  const run = async (_: unknown, _io: unknown, operands: readonly string[]) => {
    ran = operands.length === 0 || command.operands !== undefined
    return 0
  }
  const here = new Terminal({ commands: { [name]: { ...command, run } } })
  expect([await here.run(...name.split(' '), ...rest), here.err]).toEqual([0, []])
  return ran
}

describe('completion', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'larder-completion-'))
    mkdirSync(join(folder, 'houses'))
    for (const file of ['house.yaml', 'house with blanks.yaml', 'other.txt']) writeFileSync(join(folder, file), '')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  async function script(shell: string): Promise<string> {
    const here = new Terminal({ commands: { ...commands } })
    expect([await here.run('completion', shell), here.err]).toEqual([0, []])
    const file = join(folder, `larder.${shell}`)
    writeFileSync(file, `${here.out.join('\n')}\n`)
    return file
  }

  /** What bash offers for a command line that ends where the cursor is. */
  async function bash(line: string): Promise<string[]> {
    const words = line.split(' ')
    const program = `
      source ${await script('bash')}
      complete -p larder >/dev/null || exit 9
      COMP_WORDS=(${words.map(word => `'${word}'`).join(' ')})
      COMP_CWORD=${words.length - 1}
      _larder && printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-u', '-c', program], {
      cwd: folder,
      encoding: 'utf8',
    })
    expect([status, stderr]).toEqual([0, ''])
    return stdout.split('\n').filter(Boolean)
  }

  test('bash: commands, their second words, flags, files', async () => {
    const firsts = [...new Set(names.map(name => name.split(' ')[0]))]
    expect(await bash('larder ')).toEqual([...firsts, '--help', '--version'])
    expect(await bash('larder sta')).toEqual(['start', 'status'])
    expect(await bash('larder store ')).toEqual(['stats', 'dump', 'verify', 'compact', 'export', 'import'])
    expect(await bash('larder store ex')).toEqual(['export'])
    expect(await bash('larder store import --r')).toEqual(['--replace'])
    expect(await bash('larder start --')).toContain('--watch')
    expect(await bash('larder check -c ho')).toEqual(
      expect.arrayContaining(['house.yaml', 'house with blanks.yaml', 'houses']),
    )
    expect(await bash('larder start --data-dir ')).toEqual(['houses'])
    expect(await bash('larder pub --cafile oth')).toEqual(['other.txt'])
    expect(await bash('larder sub --retain')).toEqual(
      expect.arrayContaining(['--retain-as-published', '--retained-only']),
    )
    // What only the owner knows is left to the owner.
    expect(await bash('larder pub -t ')).toEqual([])
    expect(await bash('larder completion ')).toEqual(['bash', 'zsh', 'fish'])
    expect(await bash('larder nonsense --')).toEqual([])
  })

  test('bash: every flag of every command', async () => {
    for (const { words, flags } of await completedCommands(commands)) {
      const offered = await bash(['larder', ...words, '-'].join(' '))
      expect(offered).toEqual(flags.flatMap(flag => flag.names))
    }
  }, 30_000)

  test.skipIf(!needs('zsh'))('zsh takes the script, and knows the commands', async () => {
    const file = await script('zsh')
    execFileSync('zsh', ['-n', file])
    const program = `autoload -Uz compinit; compinit -u -d ${join(folder, 'dump')}; source ${file}; print -r -- $_comps[larder]`
    expect(execFileSync('zsh', ['-f', '-c', program], { encoding: 'utf8' }).trim()).toBe('_larder')
  })

  test.skipIf(!needs('fish'))('fish: commands, their second words, flags, files', async () => {
    const file = await script('fish')
    const fish = (line: string) =>
      execFileSync('fish', ['--no-config', '-c', `source ${file}; complete -C '${line}'`], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, HOME: folder },
      })
        .split('\n')
        .filter(Boolean)
        .map(each => each.split('\t')[0])
    expect(fish('larder sta').sort()).toEqual(['start', 'status'])
    expect(fish('larder store ').sort()).toEqual(['compact', 'dump', 'export', 'import', 'stats', 'verify'])
    expect(fish('larder store import --r')).toEqual(['--replace'])
    expect(fish('larder check -c oth')).toContain('other.txt')
    expect(fish('larder completion ')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
  })
})
