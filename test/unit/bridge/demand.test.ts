import { describe, expect, test } from 'vitest'
import { Demand, type DemandDependencies } from '../../../src/bridge/demand.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const MINUTE = 60_000

function start(settings: Partial<DemandDependencies['settings']> = {}) {
  const clock = new ManualClock()
  const spool = { waiting: 0, carried: 0 }
  const events: string[] = []
  const demand = new Demand({
    settings: { url: 'mqtt://x', retry: { min: 1_000, max: 8_000 }, ...settings },
    clock,
    // The longest pause each time.
    random: () => 1,
    waiting: () => spool.waiting,
    carried: () => spool.carried,
    connect: () => void events.push('connect'),
    leave: () => void events.push('leave'),
    onStable: () => void events.push('stable'),
  })
  demand.begin()
  return { clock, spool, events, demand }
}

describe('an automatic bridge', () => {
  test('connects at the start, and again after pauses that grow, up to the longest', async () => {
    const { clock, events, demand } = start()
    expect(events).toEqual(['connect'])
    for (const pause of [3_000, 8_000, 8_000]) {
      events.length = 0
      expect(demand.down(false)).toBe(pause)
      await clock.advance(pause - 1)
      expect(events).toEqual([])
      await clock.advance(1)
      expect(events).toEqual(['connect'])
    }
    demand.stop()
    expect(clock.pending).toBe(0)
  })

  test('begins with short pauses again when a connection has stood for a minute, not before', async () => {
    const { clock, events, demand } = start()
    demand.down(false)
    await clock.advance(MINUTE)
    demand.up()
    await clock.advance(MINUTE - 1)
    expect(demand.down(false)).toBe(8_000)
    await clock.advance(MINUTE)
    demand.up()
    await clock.advance(MINUTE)
    expect(events).toEqual(['connect', 'connect', 'connect', 'stable'])
    expect(demand.down(false)).toBe(3_000)
    demand.stop()
  })

  test('does not wait when there is a reason to hurry, and only then', async () => {
    const { clock, events, demand } = start()
    demand.up()
    demand.hurry()
    expect(events).toEqual(['connect'])
    demand.down(false)
    demand.hurry()
    expect(events).toEqual(['connect', 'connect'])
    await clock.advance(MINUTE)
    expect(events).toHaveLength(2)
    demand.again()
    expect(events).toHaveLength(3)
    expect(clock.pending).toBe(0)
  })

  test('tries again when the clock is set, if a certificate was not valid by it', async () => {
    const year = 365 * 86_400_000
    for (const isClock of [true, false]) {
      const { clock, events, demand } = start({ retry: { min: 3_600_000, max: 3_600_000 } })
      demand.down(isClock)
      await clock.advance(10_000)
      clock.jumpWall(500)
      await clock.advance(10_000)
      expect(events).toEqual(['connect'])
      clock.jumpWall(year)
      await clock.advance(1_000)
      expect(events).toHaveLength(isClock ? 2 : 1)
      await clock.advance(1_000)
      expect(events).toHaveLength(isClock ? 2 : 1)
      demand.stop()
      expect(clock.pending).toBe(0)
    }
  })
})

test('a bridge that connects once does not try again, but for a reload', async () => {
  const { clock, events, demand } = start({ startType: 'once' })
  demand.up()
  expect(demand.down(false)).toBeUndefined()
  demand.hurry()
  await clock.advance(60 * MINUTE)
  expect(events).toEqual(['connect'])
  expect(clock.pending).toBe(0)
})

describe('a lazy bridge', () => {
  test('connects when enough waits, and leaves when nothing has moved for a while', async () => {
    const { clock, spool, events, demand } = start({ startType: 'lazy', threshold: 3, idleTimeout: 10_000 })
    spool.waiting = 2
    await clock.advance(MINUTE)
    expect(events).toEqual([])
    spool.waiting = 3
    await clock.advance(1_000)
    expect(events).toEqual(['connect'])
    demand.up()
    // As long as something waits, however little moves.
    await clock.advance(MINUTE)
    Object.assign(spool, { waiting: 0, carried: 3 })
    await clock.advance(9_000)
    // From the upstream.
    spool.carried++
    await clock.advance(10_000)
    expect(events).toEqual(['connect', 'stable'])
    await clock.advance(1_000)
    expect(events).toEqual(['connect', 'stable', 'leave'])
    expect(demand.down(false)).toBeUndefined()
    await clock.advance(60 * MINUTE)
    spool.waiting = 3
    await clock.advance(1_000)
    expect(events.slice(3)).toEqual(['connect'])
    demand.stop()
    expect(clock.pending).toBe(0)
  })

  test('does not let one message wait for ever, and looks at once at what waits since the last start', async () => {
    const { clock, spool, events, demand } = start({ startType: 'lazy', maxWait: 5 * MINUTE })
    await clock.advance(5 * MINUTE)
    spool.waiting = 1
    await clock.advance(4 * MINUTE)
    expect(events).toEqual([])
    await clock.advance(MINUTE + 1_000)
    expect(events).toEqual(['connect'])
    demand.stop()

    const other = start({ startType: 'lazy', threshold: 1 })
    other.demand.stop()
    other.spool.waiting = 1
    other.demand.begin()
    expect(other.events).toEqual(['connect'])
    expect(other.clock.pending).toBe(0)
  })

  test('that cannot connect tries again like any, until nothing waits', async () => {
    const { clock, spool, events, demand } = start({ startType: 'lazy', threshold: 5 })
    spool.waiting = 5
    await clock.advance(1_000)
    expect(demand.down(false)).toBe(3_000)
    // What is overtaken by others or has expired need not be sent.
    spool.waiting = 1
    await clock.advance(3_000)
    expect(events).toEqual(['connect', 'connect'])
    spool.waiting = 0
    expect(demand.down(false)).toBeUndefined()
    await clock.advance(MINUTE)
    expect(events).toEqual(['connect', 'connect'])
    demand.stop()
    expect(clock.pending).toBe(0)
  })
})
