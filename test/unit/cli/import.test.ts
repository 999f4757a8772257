import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { importCommand } from '../../../src/cli/import.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { cronFault } from '../../../src/devices/cron.ts'
import { Terminal } from './terminal.ts'

const checks = { cron: cronFault }

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-import-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

async function importing(text: string, ...args: string[]) {
  writeFileSync(join(cwd, 'm.conf'), text)
  const terminal = new Terminal({ commands: { import: importCommand({ checks }) }, cwd })
  const status = await terminal.run('import', ...(args.length === 0 ? ['m.conf'] : args))
  return { status, out: terminal.out, err: terminal.err }
}

test('prints a larder.yaml that can be loaded', async () => {
  const text =
    'listener 1884 127.0.0.1\npassword_file pw\npersistence true\nautosave_interval 5\nuser me\npid_file x\nlog_dest file y'
  const { status, out, err } = await importing(text)
  expect([status, err]).toEqual([0, []])
  expect(out[0]).toBe("# Made from m.conf by larder import. What is not written here is Larder's default.")
  expect(out).toContain('  - url: "mqtt://127.0.0.1:1884"  # m.conf:1')
  expect(out.slice(-5)).toEqual([
    '# Not taken over, or not as it was:',
    '#   m.conf:4: autosave_interval is not needed: what is acknowledged is on disk at once',
    '#   log_dest file: the log goes to stderr, which systemd keeps in its journal',
    '#   pid_file: systemd knows the process; only larder mosquitto writes one',
    '#   user me: the systemd unit says as whom it runs',
  ])
  const result = loadConfig({ text: out.join('\n'), env: {}, cwd: '/elsewhere', checks })
  expect(result).toMatchObject({ config: { access: { passwordFile: join(cwd, 'pw') } } })
})

test('says what changes for one that kept nothing', async () => {
  const { out } = await importing('listener 1884')
  expect(out[1]).toMatch(/^# It has persistence false/)
})

test('faults', async () => {
  const { status, out, err } = await importing('foo\nmax_qos 9')
  expect([status, out, err]).toEqual([
    1,
    [],
    ['m.conf:1: Unknown configuration variable "foo".', 'm.conf:2: max_qos must be between 0 and 2 inclusive.'],
  ])
  expect(await importing('', 'nowhere')).toMatchObject({
    status: 1,
    err: ['nowhere: Unable to open config file nowhere.'],
  })
})

test.each([[['m.conf', 'other.conf']], [['-x']]])('misuse: %j', async args => {
  expect((await importing('', ...args)).status).toBe(2)
})
