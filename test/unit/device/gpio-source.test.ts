import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type GpioSettings, gpioSource } from '../../../device/gpio/gpio-source.ts'
import { MemoryGpioDriver } from '../../../device/gpio/memory-driver.ts'
import type { GpioDriver, GpioLine, GpioLineEvents, GpioLineSettings, Source } from '../../../src/devices/ports.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SourceRecorder } from '../../support/source-recorder.ts'

const PIN = 17
const INPUT: GpioSettings = {
  pin: PIN,
  direction: 'in',
  activeLow: false,
  debounce: 20,
  edge: 'both',
  initial: undefined,
  pulse: undefined,
  atStop: 'keep',
  perPulse: 1,
  every: 10_000,
  save: 300_000,
  driver: 'memory',
}
const OUTPUT: GpioSettings = { ...INPUT, direction: 'out' }
const QUIET: GpioLineEvents = { changed: () => {}, lost: () => {} }

let clock: ManualClock
let board: FlakyDriver
let heard: SourceRecorder
let source: Source

beforeEach(() => {
  clock = new ManualClock()
  board = new FlakyDriver()
  heard = new SourceRecorder()
})

afterEach(async () => {
  await source.stop()
  expect(clock.pending, 'timers left after stop').toBe(0)
})

async function start(settings: GpioSettings): Promise<void> {
  source = gpioSource(settings, { driver: board, clock })
  await source.start(heard, new AbortController().signal)
}

/** The memory driver with a plug that can be pulled. */
class FlakyDriver implements GpioDriver {
  readonly memory = new MemoryGpioDriver()
  failure: Error | undefined
  /** Edges are not reported. */
  deaf = false
  events: GpioLineEvents = QUIET
  #gate: Promise<void> = Promise.resolve()
  resume: () => void = () => {}

  /** Reads and writes wait until `resume`. */
  hang(): void {
    this.#gate = new Promise(resolve => {
      this.resume = resolve
    })
  }

  async open(settings: GpioLineSettings, events: GpioLineEvents): Promise<GpioLine> {
    if (this.failure !== undefined) throw this.failure
    this.events = events
    const line = await this.memory.open(settings, {
      ...events,
      changed: (level, at) => {
        if (!this.deaf) events.changed(level, at)
      },
    })
    const answer = async <T>(work: () => Promise<T>) => {
      await this.#gate
      if (this.failure !== undefined) throw this.failure
      return work()
    }
    return {
      read: () => answer(() => line.read()),
      write: level => answer(() => line.write(level)),
      close: () => line.close(),
    }
  }
}

describe('an input', () => {
  test('publishes its first level at once', async () => {
    board.memory.set(PIN, true)
    await start(INPUT)
    expect(heard.heard).toEqual([{ up: true }, { value: 'on' }])
  })

  test('publishes a level that has stood for the debounce time, not earlier', async () => {
    await start(INPUT)
    board.memory.set(PIN, true)
    await clock.advance(19)
    expect(heard.values).toEqual(['off'])
    await clock.advance(1)
    expect(heard.values).toEqual(['off', 'on'])
  })

  test('each edge starts the wait again', async () => {
    await start(INPUT)
    for (const level of [true, false, true, false, true]) {
      board.memory.set(PIN, level)
      await clock.advance(15)
    }
    expect(heard.values).toEqual(['off'])
    await clock.advance(5)
    expect(heard.values).toEqual(['off', 'on'])
  })

  test('a pulse shorter than the debounce time is nothing', async () => {
    await start(INPUT)
    board.memory.set(PIN, true)
    await clock.advance(10)
    board.memory.set(PIN, false)
    await clock.advance(1000)
    expect(heard.values).toEqual(['off'])
  })

  test('debouncing does not care for a wall clock that jumps', async () => {
    await start(INPUT)
    board.memory.set(PIN, true)
    clock.jumpWall(-365 * 86_400_000)
    await clock.advance(10)
    clock.jumpWall(365 * 86_400_000)
    await clock.advance(9)
    expect(heard.values).toEqual(['off'])
    await clock.advance(1)
    expect(heard.values).toEqual(['off', 'on'])
  })

  test('without debouncing every edge is published', async () => {
    await start({ ...INPUT, debounce: 0 })
    for (const level of [true, false, true]) board.memory.set(PIN, level)
    expect(heard.values).toEqual(['off', 'on', 'off', 'on'])
  })

  test('active low turns it round', async () => {
    await start({ ...INPUT, activeLow: true })
    board.memory.set(PIN, true)
    await clock.advance(20)
    expect(heard.values).toEqual(['on', 'off'])
  })

  test('poll publishes the level again, and the last one that counted while it is bouncing', async () => {
    await start(INPUT)
    await source.poll?.()
    board.memory.set(PIN, true)
    await source.poll?.()
    await clock.advance(20)
    await source.poll?.()
    expect(heard.values).toEqual(['off', 'off', 'off', 'on', 'on'])
  })

  test.each([
    ['rising', ['on', 'on']],
    ['falling', ['off', 'off']],
  ] as const)('with the %s edge alone tells of that one, as a button is wanted to', async (edge, told) => {
    await start({ ...INPUT, edge, debounce: 0 })
    for (const level of [true, false, true, false]) board.memory.set(PIN, level)
    expect(heard.values).toEqual(told)
    await source.poll?.()
    expect(heard.values).toEqual([...told, 'off'])
  })

  test('is no sink', async () => {
    await start(INPUT)
    expect(source.command).toBeUndefined()
  })

  test('an edge that the driver never reported is found by the regular look', async () => {
    await start(INPUT)
    board.deaf = true
    board.memory.set(PIN, true)
    await clock.advance(10_000)
    expect(heard.values).toEqual(['off'])
    await clock.advance(20)
    expect(heard.values).toEqual(['off', 'on'])
  })
})

describe('an output', () => {
  test.each([
    ['on', true],
    ['off', false],
    ['true', true],
    ['false', false],
    ['1', true],
    ['0', false],
    [' ON\n', true],
  ])('takes %j and reports the level that it has then', async (payload, level) => {
    board.memory.set(PIN, !level)
    await start(OUTPUT)
    await source.command?.(payload)
    expect(board.memory.level(PIN)).toBe(level)
    expect(heard.values).toEqual(level ? ['off', 'on'] : ['on', 'off'])
  })

  test('toggles, one command after the other', async () => {
    await start(OUTPUT)
    await Promise.all(['toggle', 'toggle', 'toggle'].map(command => source.command?.(command)))
    expect(heard.values).toEqual(['off', 'on', 'off', 'on'])
    expect(board.memory.level(PIN)).toBe(true)
  })

  test('active low: on is a low level', async () => {
    await start({ ...OUTPUT, activeLow: true, initial: false })
    expect(board.memory.level(PIN)).toBe(true)
    await source.command?.('on')
    expect(board.memory.level(PIN)).toBe(false)
    expect(heard.values).toEqual(['off', 'on'])
  })

  test('refuses anything else with a sentence that says what it takes', async () => {
    await start(OUTPUT)
    await expect(source.command?.('dim')).rejects.toThrow('GPIO 17 takes on, off, toggle, true, false, 1, 0, not "dim"')
    await expect(source.command?.('x'.repeat(10_000))).rejects.toThrow(/^.{1,150}$/)
    expect(heard.values).toEqual(['off'])
  })

  test('keeps its level over a stop and a start', async () => {
    await start(OUTPUT)
    await source.command?.('on')
    await source.stop()
    expect(board.memory.level(PIN)).toBe(true)
    heard = new SourceRecorder()
    await start(OUTPUT)
    expect(heard.values).toEqual(['on'])
  })

  test('starts at its initial level', async () => {
    await start({ ...OUTPUT, initial: true })
    expect(heard.values).toEqual(['on'])
  })

  test('reports a level that somebody else gave it', async () => {
    await start(OUTPUT)
    board.memory.set(PIN, true)
    await clock.advance(10_000)
    expect(heard.values).toEqual(['off', 'on'])
  })

  test('a pin that does not answer does not gather commands without end', async () => {
    await start(OUTPUT)
    board.hang()
    const waiting = Array.from({ length: 100 }, () => source.command?.('on'))
    await expect(source.command?.('on')).rejects.toThrow('GPIO 17 does not answer')
    board.resume()
    await Promise.all(waiting)
  })
})

describe('an output and the stop', () => {
  test.each([
    ['keep', true, true],
    ['keep', false, false],
    ['on', false, true],
    ['off', true, false],
  ] as const)('at_stop: %s', async (atStop, before, after) => {
    board.memory.set(PIN, before)
    await start({ ...OUTPUT, atStop })
    await source.stop()
    expect(board.memory.level(PIN)).toBe(after)
  })

  test('at_stop is a logical level', async () => {
    await start({ ...OUTPUT, activeLow: true, atStop: 'off' })
    await source.stop()
    expect(board.memory.level(PIN)).toBe(true)
  })
})

describe('an output with a pulse', () => {
  const PULSED: GpioSettings = { ...OUTPUT, pulse: 500 }

  test('goes off by itself', async () => {
    await start(PULSED)
    await source.command?.('on')
    await clock.advance(499)
    expect(board.memory.level(PIN)).toBe(true)
    await clock.advance(1)
    expect(board.memory.level(PIN)).toBe(false)
    expect(heard.values).toEqual(['off', 'on', 'off'])
  })

  test('on begins it anew, off ends it', async () => {
    await start(PULSED)
    await source.command?.('on')
    await clock.advance(400)
    await source.command?.('on')
    await clock.advance(400)
    expect(board.memory.level(PIN)).toBe(true)
    await source.command?.('off')
    await clock.advance(1000)
    expect(heard.values).toEqual(['off', 'on', 'on', 'off'])
  })

  test('is off after a stop in the middle, whatever at_stop says', async () => {
    await start({ ...PULSED, atStop: 'on' })
    await source.command?.('on')
    await source.stop()
    expect(board.memory.level(PIN)).toBe(false)
  })

  test('is off after a start, when the power went in the middle', async () => {
    board.memory.set(PIN, true)
    await start(PULSED)
    expect(heard.values).toEqual(['off'])
    expect(board.memory.level(PIN)).toBe(false)
  })

  test('whose pin goes in the middle is off when it is back', async () => {
    await start(PULSED)
    await source.command?.('on')
    board.failure = new Error('ENODEV')
    await clock.advance(10_000)
    board.failure = undefined
    await clock.advance(10_000)
    expect(board.memory.level(PIN)).toBe(false)
    expect(heard.values.at(-1)).toBe('off')
  })
})

describe('a pin whose driver loses it', () => {
  test('is tried again soon, and ever more seldom while it does not last', async () => {
    await start(INPUT)
    const tried: number[] = []
    for (let loss = 0; loss < 7; loss++) {
      const lostAt = clock.monotonic()
      board.events.lost('gpiomon ended')
      await clock.advance(0)
      expect(heard.up).toBe(false)
      while (!heard.up) await clock.advance(100)
      tried.push(clock.monotonic() - lostAt)
    }
    expect(tried).toEqual([1000, 2000, 4000, 3000, 10_000, 10_000, 10_000])
    expect(heard.reason).toBe('gpiomon ended')
  })
})

describe('a pin that is away', () => {
  const BUSY = new LarderError('DEVICE_FAILED', 'GPIO 17 is held by another program.', { hint: 'Look with gpioinfo.' })

  test('does not fail the start, is tried again and heals', async () => {
    board.failure = BUSY
    await start(INPUT)
    expect(heard.heard).toEqual([{ up: false, reason: 'GPIO 17 is held by another program. Look with gpioinfo.' }])
    board.failure = undefined
    await clock.advance(10_000)
    expect(heard.heard.slice(1)).toEqual([{ up: true }, { value: 'off' }])
  })

  test('refuses commands and says why', async () => {
    board.failure = BUSY
    await start(OUTPUT)
    await expect(source.command?.('on')).rejects.toThrow('GPIO 17 is away: GPIO 17 is held by another program.')
  })

  test('goes while it runs: away, then back with its level published anew', async () => {
    await start(INPUT)
    board.failure = new Error('ENODEV')
    await clock.advance(10_000)
    expect(heard.heard.slice(2)).toEqual([{ up: false, reason: 'ENODEV' }])
    board.failure = undefined
    await clock.advance(10_000)
    expect(heard.heard.slice(3)).toEqual([{ up: true }, { value: 'off' }])
  })

  test('goes during a command: the command fails and the pin is away', async () => {
    await start(OUTPUT)
    board.failure = new Error('ENODEV')
    await expect(source.command?.('on')).rejects.toThrow('GPIO 17 is away: ENODEV')
    expect(heard.up).toBe(false)
  })
})

test('a start that is aborted leaves nothing open', async () => {
  const abort = new AbortController()
  source = gpioSource(INPUT, { driver: board, clock })
  const started = source.start(heard, abort.signal)
  abort.abort()
  await expect(started).rejects.toThrow()
  await expect(board.memory.open({ ...INPUT, direction: 'in' }, QUIET)).resolves.toBeDefined()
})

test('the memory driver holds a pin once', async () => {
  await start(INPUT)
  await expect(board.memory.open({ ...INPUT, direction: 'in' }, QUIET)).rejects.toThrow('GPIO 17 is already open')
})
