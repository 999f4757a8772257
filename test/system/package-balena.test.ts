/**
 * docker-compose.yml as balena reads it: by the part of balena's own tools that does so. They are 70 MB of packages, which
 * nothing else here needs, so they are fetched into the cache, and only where `scripts/test pi` asks for it.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { whyNotFetched } from '../support/debian-root.ts'
import { ROOT } from '../support/gateway.ts'
import { run } from '../support/process.ts'

/** The last version that does not download a program of its own. */
const VERSION = '7.0.1'
const FOLDER = join(ROOT, `node_modules/.cache/larder-package/balena-compose-${VERSION}`)
/** Deadline in ms of npm. */
const FETCHING = 300_000

const reason =
  process.env.LARDER_TEST_PACKAGE === undefined ? 'scripts/test pi does that' : await whyNotFetched(fetchTools)
if (reason !== undefined) process.stderr.write(`skipped: docker-compose.yml as balena reads it, because ${reason}\n`)

describe.skipIf(reason !== undefined)('balena', () => {
  const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'))

  /** What it makes of a composition, or why it does not take it. */
  async function normalized(composition: object): Promise<{ services?: Record<string, object>; refused?: string }> {
    const script = `
      const { parse } = require('@balena/compose')
      let text = ''
      process.stdin.on('data', chunk => (text += chunk)).on('end', () => {
        try { console.log(JSON.stringify(parse.normalize(JSON.parse(text)))) }
        catch (error) { console.log(JSON.stringify({ refused: error.message })) }
      })`
    const { lines, errors } = await run(process.execPath, ['-e', script], {
      cwd: FOLDER,
      input: JSON.stringify(composition),
    })
    const [last] = lines.slice(-1)
    if (last === undefined) throw new Error(errors.join('\n'))
    return JSON.parse(last)
  }

  test('takes docker-compose.yml, with everything that is in it', async () => {
    const { services = {}, refused } = await normalized(compose)
    expect(refused).toBeUndefined()
    expect(Object.keys(services)).toEqual(['gateway'])
    const missing = Object.keys(compose.services.gateway).filter(key => !(key in services.gateway!))
    expect(missing).toEqual([])
  })

  test.each([
    ['a folder of the host', { volumes: ['./data:/data'] }],
    ['a volume that is not declared', { volumes: ['other:/data'] }],
    ['a key that it does not know', { bogus: 1 }],
  ])('refuses %s: these tests would notice', async (_, more) => {
    const { gateway } = compose.services
    const { refused } = await normalized({ ...compose, services: { gateway: { ...gateway, ...more } } })
    expect(refused).toEqual(expect.any(String))
  })
})

function fetchTools(): void {
  if (existsSync(join(FOLDER, 'node_modules/@balena/compose'))) return
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, 'package.json'), '{ "private": true }\n')
  const args = [
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    `@balena/compose@${VERSION}`,
  ]
  execFileSync('npm', args, { cwd: FOLDER, stdio: ['ignore', 'ignore', 'pipe'], timeout: FETCHING })
}
