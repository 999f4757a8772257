import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { BusyError } from '../../../src/access/checks.ts'
import {
  FIRST_DELAY_MS,
  FREE_FAILURES,
  LoginThrottle,
  MAX_ADDRESSES,
  MAX_DELAY_MS,
  MAX_KNOWN,
  MAX_WAIT_MS,
  MAX_WAITING,
  WINDOW_MS,
} from '../../../src/access/login-throttle.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const HERE = '192.0.2.1'

let clock: ManualClock
let throttle: LoginThrottle
let slowed: string[]
beforeEach(() => {
  clock = new ManualClock()
  slowed = []
  throttle = new LoginThrottle({ clock, onSlowed: (address, failures) => slowed.push(`${address} ${failures}`) })
})

/** An attempt, and the time in ms at which it was checked; undefined while it waits, or when it was not. */
function attempt(
  isRight: boolean,
  { address = HERE, userName = 'anna' }: { address?: string; userName?: string } = {},
) {
  const seen: { at: number | undefined; answer: boolean | undefined } = { at: undefined, answer: undefined }
  const check = async () => {
    seen.at = clock.monotonic()
    return isRight
  }
  const done = throttle.attempt({ address, userName }, check).then(answer => {
    seen.answer = answer
    return answer
  })
  done.catch(() => {})
  return Object.assign(seen, { done })
}

const fail = (options: { address?: string; userName?: string } = {}) => attempt(false, options).done

async function failOften(times = FREE_FAILURES, options: { address?: string; userName?: string } = {}): Promise<void> {
  for (let i = 0; i < times; i++) await fail(options)
}

test('the first failures cost no time; then each costs twice the one before, up to a bound', async () => {
  await failOften()
  expect([clock.monotonic(), slowed]).toEqual([0, [`${HERE} ${FREE_FAILURES}`]])
  const line = Array.from({ length: 6 }, () => attempt(false))
  await clock.advance(60_000)
  // The last one would have waited too long.
  expect(line.map(({ at }) => at)).toEqual([FIRST_DELAY_MS, 1_500, 3_500, 7_500, undefined, undefined])
  expect(Math.max(...gaps(line.flatMap(({ at }) => at ?? [])))).toBe(MAX_DELAY_MS)
  await expect(line[5]?.done).rejects.toThrow(BusyError)
  expect(clock.pending).toBe(0)
})

test('other addresses are not slowed, nor is who has none', async () => {
  await failOften()
  expect(await attempt(true, { address: '192.0.2.2' }).done).toBe(true)
  const nowhere = { address: undefined, userName: 'anna' }
  for (let i = 0; i < 100; i++) expect(await throttle.attempt(nowhere, async () => false)).toBe(false)
  expect(clock.monotonic()).toBe(0)
})

test('addresses of one IPv6 network count together', async () => {
  for (let i = 0; i < FREE_FAILURES; i++) await fail({ address: `2001:db8::${i + 1}` })
  const next = attempt(true, { address: '2001:db8::ffff' })
  await clock.advance(FIRST_DELAY_MS - 1)
  expect(next.at).toBeUndefined()
  await clock.advance(1)
  expect(next.answer).toBe(true)
})

test('many at the same time are no way around it', async () => {
  const attempts = Array.from({ length: FREE_FAILURES + MAX_WAITING + 5 }, () => attempt(false))
  await clock.advance(0)
  expect(attempts.filter(({ at }) => at === 0)).toHaveLength(FREE_FAILURES)
  const refused = await Promise.allSettled(attempts.slice(-5).map(({ done }) => done))
  expect(refused.every(({ status }) => status === 'rejected')).toBe(true)
})

test('one valid account does not help to guess another', async () => {
  const guesses: number[] = []
  await failOften()
  const until = 60_000
  while (clock.monotonic() < until) {
    const own = attempt(true, { userName: 'mallory' })
    const guess = attempt(false)
    await clock.advance(100)
    if (own.answer === undefined) await clock.advance(MAX_DELAY_MS)
    if (guess.at !== undefined) guesses.push(guess.at)
  }
  expect(guesses.length).toBeLessThanOrEqual(until / MAX_DELAY_MS + 4)
})

test('after a window without a failure the address is as good as new', async () => {
  await failOften()
  await clock.advance(WINDOW_MS)
  await failOften()
  expect(clock.monotonic()).toBe(WINDOW_MS)
  expect(slowed).toHaveLength(2)
})

describe('a house behind one address', () => {
  test('whoever has logged in from there goes past the line', async () => {
    expect(await attempt(true).done).toBe(true)
    await failOften(FREE_FAILURES, { userName: 'old' })
    for (let i = 0; i < 5; i++) expect(await attempt(true).done).toBe(true)
    expect(clock.monotonic()).toBe(0)
  })

  test('until a login in that name fails', async () => {
    expect(await attempt(true).done).toBe(true)
    await failOften(FREE_FAILURES, { userName: 'old' })
    expect(await attempt(false).done).toBe(false)
    const next = attempt(true)
    await clock.advance(0)
    expect(next.at).toBeUndefined()
    await clock.advance(MAX_DELAY_MS)
    expect(next.answer).toBe(true)
  })

  test('and of many at the same time in that name, one', async () => {
    expect(await attempt(true).done).toBe(true)
    await failOften(FREE_FAILURES, { userName: 'old' })
    const guesses = Array.from({ length: 10 }, () => attempt(false))
    await clock.advance(0)
    expect(guesses.filter(({ at }) => at !== undefined)).toHaveLength(1)
  })

  test('everybody comes back at once after a restart, and nobody waits', async () => {
    const all = Array.from({ length: FREE_FAILURES + MAX_WAITING }, (_, i) => attempt(true, { userName: `u${i}` }))
    expect(await Promise.all(all.map(({ done }) => done))).not.toContain(false)
    expect(clock.monotonic()).toBe(0)
  })
})

test('a check that breaks off counts as nothing', async () => {
  expect(await attempt(true).done).toBe(true)
  for (let i = 0; i < 3 * FREE_FAILURES; i++) {
    await expect(
      throttle.attempt({ address: HERE, userName: 'anna' }, () => Promise.reject(new Error('no memory'))),
    ).rejects.toThrow('no memory')
  }
  await failOften(FREE_FAILURES, { userName: 'old' })
  expect(await attempt(true).done).toBe(true)
  expect(clock.monotonic()).toBe(0)
})

test('the stop turns away who waits, and leaves no timer', async () => {
  await failOften()
  const waiting = attempt(true)
  await clock.advance(0)
  throttle.stop()
  await expect(waiting.done).rejects.toThrow(BusyError)
  expect(clock.pending).toBe(0)
})

test('what is remembered is bounded: the oldest goes first', async () => {
  const addressOf = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
  await failOften(FREE_FAILURES, { address: HERE })
  for (let i = 0; i < MAX_ADDRESSES; i++) await fail({ address: addressOf(i) })
  expect(await attempt(true).done).toBe(true) // forgotten
  await failOften(FREE_FAILURES - 1, { address: addressOf(1) })
  const last = attempt(true, { address: addressOf(1) })
  await clock.advance(0)
  expect(last.at).toBeUndefined() // remembered
  await clock.advance(FIRST_DELAY_MS)

  for (let i = 0; i < MAX_KNOWN; i++) await attempt(true, { userName: `u${i}` }).done
  await failOften(FREE_FAILURES, { userName: 'old' })
  expect(await attempt(true, { userName: 'u1' }).done).toBe(true)
  const forgotten = attempt(true)
  await clock.advance(0)
  expect(forgotten.at).toBeUndefined()
})

test('whatever comes in whatever order: failures of strangers are never closer than they may be, and all is answered', async () => {
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 3_000 }),
    isRight: fc.boolean(),
    user: fc.integer({ min: 0, max: 3 }),
    times: fc.integer({ min: 1, max: 30 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async steps => {
      clock = new ManualClock()
      throttle = new LoginThrottle({ clock })
      const all: ReturnType<typeof attempt>[] = []
      for (const { wait, isRight, user, times } of steps) {
        for (let i = 0; i < times; i++) all.push(attempt(isRight, { userName: `u${user}` }))
        await clock.advance(wait)
      }
      await clock.advance(MAX_WAIT_MS + MAX_DELAY_MS)
      expect(clock.pending).toBe(0)
      const settled = await Promise.all(all.map(({ done }) => done.then(String, error => (error as Error).name)))
      expect(settled).toHaveLength(all.length)
      const failures = all.flatMap(({ at, answer }) => (answer === false ? [at as number] : [])).sort((a, b) => a - b)
      // Free ones, and one for each success, whose user may then go past the line once.
      const free = FREE_FAILURES + all.filter(({ answer }) => answer === true).length
      const end = clock.monotonic()
      const slow = Math.max(0, failures.length - free)
      expect(slow).toBeLessThanOrEqual(4 + end / MAX_DELAY_MS)
    }),
    { numRuns: 200 },
  )
})

function gaps(times: number[]): number[] {
  return times.slice(1).map((time, i) => time - (times[i] as number))
}
