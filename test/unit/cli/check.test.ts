// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these references are for larder.yaml, not for JavaScript

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkCommand } from '../../../src/cli/check.ts'
import { cronFault } from '../../../src/devices/cron.ts'
import { Terminal } from './terminal.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-check-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

function terminal(env: NodeJS.ProcessEnv = {}): Terminal {
  return new Terminal({ commands: { check: checkCommand({ checks: { cron: cronFault } }) }, cwd, env })
}

test('a valid file', async () => {
  writeFileSync(join(cwd, 'house.yaml'), 'name: ${WHO}\n')
  const here = terminal({ WHO: 'Attic' })
  expect(await here.run('check', '-c', 'house.yaml')).toBe(0)
  expect([here.out, here.err]).toEqual([['larder: house.yaml is valid'], []])
})

test('five faults are five lines, and one that counts them', async () => {
  const text = `nmae: Larder
listeners: ["mqtt://127.0.0.1:99999"]
store: { commit_delay: 5 parsecs }
devices:
  - { name: A, room: R, gpio: { pin: 99, direction: in } }
schedules:
  - { cron: "* * * *", poll: A }
`
  writeFileSync(join(cwd, 'larder.yaml'), text)
  const here = terminal()
  expect(await here.run('check')).toBe(1)
  expect(here.out).toEqual([])
  expect(here.err).toEqual([
    "larder.yaml:1:1: nmae: unknown key; did you mean 'name'?",
    'larder.yaml:2:13: listeners[0]: the port must be between 0 and 65535; found 99999',
    expect.stringMatching(/^larder\.yaml:3:24: store\.commit_delay: must be a duration/),
    'larder.yaml:5:38: devices[0].gpio.pin: must be between 0 and 53; found 99',
    expect.stringMatching(/^larder\.yaml:7:13: schedules\[0\]\.cron: ./),
  ])
})

test('without -c it wants ./larder.yaml', async () => {
  const here = terminal()
  expect(await here.run('check')).toBe(1)
  expect(here.err).toEqual(['larder.yaml:1:1: there is no such file: check the name, or give another with -c FILE'])
  writeFileSync(join(cwd, 'larder.yaml'), '')
  expect(await here.run('check')).toBe(0)
})
