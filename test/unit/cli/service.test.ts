/** The words for systemd, on a clock that the test moves; test/system/package.test.ts has the real systemd. */
import { expect, test } from 'vitest'
import { isWell, Service } from '../../../src/cli/service.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const WATCHED = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '90000000' }

function rig(env: NodeJS.ProcessEnv, answer: () => Promise<void> = async () => {}) {
  const clock = new ManualClock()
  const said: string[] = []
  const warnings: string[] = []
  const service = new Service({
    env,
    clock,
    warn: message => warnings.push(message),
    notify: words => {
      said.push(words.join(' '))
      return answer()
    },
  })
  return { clock, said, warnings, service }
}

test('says that it is ready, three times a period that it is well, and that it stops', async () => {
  const { clock, said, service } = rig(WATCHED)
  await service.ready('mqtt://127.0.0.1:1883', () => true)
  expect(said).toEqual(['READY=1 STATUS=mqtt://127.0.0.1:1883'])
  for (let period = 0; period < 3; period++) {
    await clock.advance(30_000)
  }
  expect(said.slice(1)).toEqual(['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
  await service.stopping()
  await clock.advance(90_000)
  expect(said.slice(4)).toEqual(['STOPPING=1'])
})

test('says nothing to the watchdog while it is not well', async () => {
  const { clock, said, service } = rig(WATCHED)
  let well = false
  await service.ready('', () => well)
  await clock.advance(60_000)
  expect(said).toHaveLength(1)
  well = true
  await clock.advance(30_000)
  expect(said.slice(1)).toEqual(['WATCHDOG=1'])
})

test('says one word at a time', async () => {
  let open = () => {}
  let isSlow = false
  const { clock, said, service } = rig(WATCHED, () =>
    isSlow ? new Promise(resolve => (open = resolve)) : Promise.resolve(),
  )
  await service.ready('', () => true)
  isSlow = true
  await clock.advance(90_000)
  expect(said.slice(1)).toEqual(['WATCHDOG=1'])
  open()
  await clock.advance(30_000)
  expect(said.slice(1)).toEqual(['WATCHDOG=1', 'WATCHDOG=1'])
})

test('outside a service nothing is said', async () => {
  const { clock, said, service } = rig({ WATCHDOG_USEC: '90000000' })
  await service.ready('', () => true)
  await clock.advance(90_000)
  await service.stopping()
  expect(said).toEqual([])
})

test('a systemd that cannot be told is a warning, once', async () => {
  const { clock, warnings, service } = rig(WATCHED, () => Promise.reject(new Error('no such program')))
  await service.ready('', () => true)
  await clock.advance(30_000)
  await service.stopping()
  expect(warnings).toEqual(['systemd cannot be told that the gateway runs: no such program'])
})

test.each([
  ['no trouble', [], true],
  ['a full disk, which no start mends', ['the disk is nearly full'], true],
  ['one listener of two', ['the listener mqtts://0.0.0.0:8883 is not open'], true],
  ['all listeners', ['the listener mqtt://a:1 is not open', 'the listener mqtt://b:2 is not open'], false],
  ['a disk that does not answer', ['the disk does not answer'], false],
])('well: %s', (_, troubles, expected) => {
  expect(isWell(JSON.stringify({ ok: troubles.length === 0, troubles }), 2)).toBe(expected)
})
