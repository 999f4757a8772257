/** The short form of `scripts/soak`: a gateway that is lived in for a while is as small and as quick as it was. */
import { describe, expect, test } from 'vitest'
import { tellSoak } from '../soak/report.ts'
import { soak } from '../soak/run.ts'
import { faults, type Live, LONG_BOUNDS, type Remains, type Sample, SHORT_BOUNDS, trends } from '../soak/verdict.ts'
import { needs } from '../support/needs.ts'

const SECONDS = 45

describe.skipIf(!needs('mosquitto'))('a soak', () => {
  test(`of ${SECONDS} s is flat`, { timeout: 240_000 }, async () => {
    const seed = Date.now() % 2 ** 32
    console.log(`seed ${seed}`)
    const result = await soak({ seconds: SECONDS, seed, bounds: SHORT_BOUNDS })
    console.log(tellSoak(result))
    expect(result.faults).toEqual([])
    // It was a soak at all.
    const { counts, samples, remains } = result
    expect(samples.length).toBeGreaterThan(SECONDS / 2)
    expect(counts.connections).toBeGreaterThan(100)
    expect(counts.delivered).toBeGreaterThan(10_000)
    expect(counts.abandoned).toBeGreaterThan(10)
    expect(counts.outages).toBeGreaterThan(5)
    expect([...result.log.keys()].some(message => message.includes('queue of a session is full'))).toBe(true)
    expect(remains.records.after.m).toBeGreaterThan(0)
  })
})

describe('the verdict of a soak', () => {
  const MINUTES = 10
  const steady: Sample = {
    at: 0,
    resident: 100e6,
    heap: 30e6,
    external: 5e6,
    handles: 50,
    tables: 5,
    store: 10e6,
    processor: 0.3,
    waited: 0.02,
    pingMedian: 0.2,
    pingHigh: 5,
    late: 1,
  }
  const seconds = Array.from({ length: MINUTES * 60 }, (_, i) => i + 1)
  const flat = seconds.map((at): Sample => ({ ...steady, at }))
  const grown = (value: number, times: number, at: number): number => value * (1 + ((times - 1) * at) / seconds.length)
  /** A run in which `figure` grows to `times` what it was, in a straight line. */
  const growing = (figure: Exclude<keyof Sample, 'at'>, times: number): Sample[] =>
    flat.map(each => ({ ...each, [figure]: grown(each[figure], times, each.at) }))
  const lives = (times: number): Live[] =>
    seconds.filter(at => at % 25 === 0).map(at => ({ at, heap: grown(20e6, times, at) }))
  const clean: Remains = {
    handles: { before: 20, after: 20 },
    store: { before: 100_000, after: 101_000 },
    records: { before: { m: 5, r: 8 }, after: { m: 5, r: 8 } },
  }
  const judge = (samples: Sample[], heap: Live[] = lives(1), remains: Remains = clean, unexpected: string[] = []) =>
    faults({ trends: trends(samples, heap, LONG_BOUNDS), remains, unexpected })

  test('is flat when nothing grows', () => {
    expect(judge(flat)).toEqual([])
  })

  test.each<[Exclude<keyof Sample, 'at'>, number, RegExp]>([
    ['resident', 1.5, /^resident memory is not flat/],
    ['handles', 2, /^open handles is not flat/],
    ['tables', 10, /^open tables is not flat/],
    ['store', 4, /^size of the store is not flat/],
    ['pingHigh', 5, /^ping, 99 % is not flat/],
    ['processor', 3, /^processor is not flat/],
  ])('notices %s that grows to %d times', (figure, times, sentence) => {
    expect(judge(growing(figure, times))).toEqual([expect.stringMatching(sentence)])
  })

  test('notices a heap that grows below the garbage', () => {
    expect(judge(flat, lives(1.5))).toEqual([expect.stringMatching(/^heap without garbage is not flat/)])
  })

  test.each<['late' | 'waited', number]>([
    ['late', 30],
    ['waited', 0.3],
  ])('does not blame the gateway for pings of seconds in which the machine was busy (%s)', (figure, value) => {
    const slow = growing('pingHigh', 5).map(each => ({ ...each, [figure]: value }))
    const disturbed = flat.map((each, i) => (i % 10 < 3 ? each : (slow[i] ?? each)))
    expect(judge(disturbed)).toEqual([])
    expect(judge(slow)).toEqual([])
  })

  test.each<[string, Remains, RegExp]>([
    ['a handle', { ...clean, handles: { before: 20, after: 21 } }, /^21 handles are open/],
    ['a store that stays large', { ...clean, store: { before: 100_000, after: 1_000_000 } }, /^the store has 1000000/],
    [
      'records of a family that was not there',
      { ...clean, records: { ...clean.records, after: { m: 5, r: 8, q: 3 } } },
      /^3 records of family 'q' are left; 0 were/,
    ],
  ])('notices %s that is left', (_, remains, sentence) => {
    expect(judge(flat, lives(1), remains)).toEqual([expect.stringMatching(sentence)])
  })

  test('passes on what nobody expects in the log, and fails a run that was not sampled', () => {
    expect(judge(flat, lives(1), clean, ['ouch'])).toEqual(['unexpected in the log: ouch'])
    expect(judge([], []).length).toBeGreaterThan(0)
  })
})
