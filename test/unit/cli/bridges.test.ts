/** `larder bridges …` through a real control socket, with bridges that are only told of. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type BridgeAccess,
  type BridgeView,
  bridgesDeadCommand,
  bridgesListCommand,
  bridgesPauseCommand,
  bridgesResumeCommand,
  bridgesRetryCommand,
  type DeadLetterView,
  obeyBridges,
} from '../../../src/cli/bridges.ts'
import { openControl } from '../../../src/cli/control.ts'
import { Terminal } from './terminal.ts'

const checks = { cron: () => undefined }
const commands = {
  'bridges list': bridgesListCommand({ checks }),
  'bridges dead': bridgesDeadCommand({ checks }),
  'bridges retry': bridgesRetryCommand({ checks }),
  'bridges pause': bridgesPauseCommand({ checks }),
  'bridges resume': bridgesResumeCommand({ checks }),
}
const state: BridgeView = {
  name: 'cloud',
  connected: true,
  paused: false,
  waiting: 0,
  bytes: 0,
  oldest: undefined,
  rateOut: 1.5,
  rateIn: 0,
  dead: 0,
  drain: undefined,
  lastError: undefined,
}
let cwd: string
let states: BridgeView[]
let letters: DeadLetterView[]
let told: string[]
let control: AsyncDisposable

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-bridges-'))
  states = [state]
  letters = []
  told = []
  const tell = async (what: string, name: string) => void told.push(`${what} ${name}`)
  const access: BridgeAccess = {
    states: () => states,
    async *deadLetters() {
      yield* letters
    },
    async retry(name) {
      if (name !== 'cloud') throw new Error(`there is no bridge called "${name}"`)
      return letters.length
    },
    pause: name => tell('pause', name),
    resume: name => tell('resume', name),
  }
  control = await openControl(cwd, async request => (await obeyBridges(request, access)) ?? { ok: false, lines: ['?'] })
})
afterEach(async () => {
  await control[Symbol.asyncDispose]()
  rmSync(cwd, { recursive: true })
})

async function run(what: string, ...rest: string[]) {
  const here = new Terminal({ commands, cwd })
  const status = await here.run('bridges', what, '--data-dir', cwd, ...rest)
  return { status, out: here.out, err: here.err }
}

test('list says how each is doing', async () => {
  states = [
    state,
    {
      ...state,
      name: 'a',
      waiting: 12_345,
      bytes: 2_048,
      oldest: 65_000,
      dead: 2,
      drain: { endsAt: Date.UTC(2026, 0, 1) },
    },
    { ...state, name: 'b', connected: false, lastError: 'nothing listens' },
    { ...state, name: 'c', connected: false, paused: true },
  ]
  expect(await run('list')).toEqual({
    status: 0,
    err: [],
    out: [
      'cloud: connected; nothing waits; 1.5/s out, 0/s in',
      'a: connected; 12,345 waiting (2.0 KiB, the oldest for 1 min); done at about 2026-01-01T00:00:00.000Z; 1.5/s out, 0/s in; 2 set aside',
      'b: not connected (nothing listens); nothing waits',
      'c: paused; nothing waits',
    ],
  })
  const { out } = await run('list', '--json')
  expect(out.map(line => JSON.parse(line).name)).toEqual(['cloud', 'a', 'b', 'c'])
  states = []
  expect((await run('list')).out).toEqual(['there are no bridges'])
})

test('a thousand dead letters of any size come whole, and none does anything to a terminal', async () => {
  letters = Array.from({ length: 1_000 }, (_, i) => ({
    topic: `t/\u001b[2J${i}`,
    payload: Buffer.alloc(i === 0 ? 3_000_000 : 10_000, i % 2 === 0 ? 'x' : 0xff),
    retain: i === 1,
    reason: 'too large',
  }))
  const { status, out } = await run('dead', 'cloud')
  expect([status, out.length]).toEqual([0, 1_000])
  expect(out[0]).toBe('"t/\\u001b[2J0" (2.9 MiB): too large')
  expect(out[1]).toBe('"t/\\u001b[2J1" (9.8 KiB, retained): too large')
  const json = (await run('dead', '--json', 'cloud')).out.map(line => JSON.parse(line))
  expect(json[0].payload).toHaveLength(3_000_000)
  expect(Buffer.from(json[1].payload_base64, 'base64')).toEqual(letters[1]?.payload)
  expect(json[1]).toMatchObject({ retain: true, reason: 'too large' })
})

test('retry, pause and resume name the bridge and say what was done', async () => {
  letters = Array.from({ length: 1_234 }, () => ({ topic: 't', payload: Buffer.alloc(0), retain: false, reason: '' }))
  expect((await run('retry', 'cloud')).out).toEqual(['1,234 messages are sent again'])
  expect((await run('pause', 'cloud')).out).toEqual(['cloud is paused'])
  expect((await run('resume', 'cloud')).out).toEqual(['cloud goes on'])
  expect(told).toEqual(['pause cloud', 'resume cloud'])
  expect(await run('retry', 'clod')).toEqual({ status: 1, out: [], err: ['larder: there is no bridge called "clod"'] })
})

test('without a name, or with two, nothing is asked', async () => {
  for (const names of [[], ['a', 'b']]) {
    const { status, err } = await run('pause', ...names)
    expect([status, err]).toEqual([2, [expect.stringContaining('give the name of one bridge')]])
  }
  expect(told).toEqual([])
})
