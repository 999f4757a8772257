/** The gateway's own log: its forms, what it counts instead of telling, what it keeps, and what it publishes. */
import { describe, expect, test } from 'vitest'
import { createLog, type LogOptions } from '../../../src/kernel/log.ts'
import { MAX_KINDS, MAX_REPEATS, REPEATS_WINDOW } from '../../../src/kernel/log-repeats.ts'
import { LogTail, MAX_TAIL_LENGTH, MAX_TAIL_LINES } from '../../../src/kernel/log-tail.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const NOON = Date.UTC(2026, 0, 1, 12)

function logging(options: Partial<LogOptions> = {}) {
  const clock = new ManualClock(NOON)
  const written: string[] = []
  const write = (line: string) => void written.push(line)
  const log = createLog({ level: 'info', format: 'json', ...options }, { clock, write })
  return { log, clock, written, texts: () => log.tail.since(0).map(({ text }) => text) }
}

describe('a line', () => {
  test('is JSON with its fields and those of its part', () => {
    const { log, written } = logging()
    log.child({ bridge: 'cloud' }).warn({ reason: 'no route' }, 'the upstream is not there')
    expect(written.map(line => JSON.parse(line))).toEqual([
      {
        level: 40,
        time: '2026-01-01T12:00:00.000Z',
        bridge: 'cloud',
        reason: 'no route',
        msg: 'the upstream is not there',
      },
    ])
    expect(written[0]?.endsWith('}\n')).toBe(true)
  })

  test('does not tell what is not there', () => {
    const { log, texts } = logging()
    log.info({ user: undefined, about: 'a' }, 'from the page')
    expect(texts()).toEqual(['from the page about=a'])
  })

  test('is one line of text, whatever is in it, and gives a terminal no orders', () => {
    const { log, written, texts } = logging({ format: 'text' })
    log.error({ client: 'a\u001b[2J\u009b1m', error: new Error('first\n  second') }, 'one\r\ntwo')
    expect(written).toEqual(['12:00:00.000 ERROR one two client=a?[2J?1m error=first second\n'])
    expect(texts()).toEqual(['one two client=a?[2J?1m error=first second'])
  })

  test('below the level is nowhere', () => {
    const { log, written, texts } = logging({ level: 'warn', topics: 'info' })
    const sent: string[] = []
    log.topics!.send = topic => void sent.push(topic)
    log.info({}, 'x')
    log.child({}).debug({}, 'x')
    expect([written, texts(), sent]).toEqual([[], [], []])
  })
})

describe('lines that say the same', () => {
  const many = 123

  test('are counted beyond some, and told once when the minute is over', async () => {
    const { log, clock, texts } = logging()
    for (let i = 0; i < MAX_REPEATS + many; i++) log.warn({ address: i }, 'refused')
    expect(texts()).toEqual(Array.from({ length: MAX_REPEATS }, (_, i) => `refused address=${i}`))
    await clock.advance(REPEATS_WINDOW - 1)
    expect(texts()).toHaveLength(MAX_REPEATS)
    await clock.advance(1)
    expect(texts().slice(MAX_REPEATS)).toEqual([`refused (… ${many} more like this within a minute)`])
    // The next minute begins anew.
    log.warn({ address: 7 }, 'refused')
    expect(texts().at(-1)).toBe('refused address=7')
    await clock.advance(10 * REPEATS_WINDOW)
    expect(texts()).toHaveLength(MAX_REPEATS + 2)
    expect(clock.pending).toBe(0)
  })

  test('of other parts, levels and words are others', () => {
    const { log, texts } = logging()
    const parts = [log, log.child({ bridge: 'a' }), log.child({ bridge: 'b' })]
    for (let i = 0; i < MAX_REPEATS; i++) {
      for (const part of parts) {
        part.warn({}, 'x')
        part.error({}, 'x')
        part.warn({}, 'y')
      }
    }
    expect(texts()).toHaveLength(9 * MAX_REPEATS)
  })

  test('that come seldom are all told', async () => {
    const { log, clock, texts } = logging()
    for (let i = 0; i < 100; i++) {
      log.info({}, 'x')
      await clock.advance(REPEATS_WINDOW / MAX_REPEATS)
    }
    expect(texts()).toHaveLength(100)
    expect(clock.pending).toBe(0)
  })

  test('for debugging are all told', () => {
    const { log, texts } = logging({ level: 'debug' })
    for (let i = 0; i < 100; i++) log.debug({}, 'x')
    expect(texts()).toHaveLength(100)
  })

  test('are told at the end, and when too many kinds are remembered', () => {
    const { log, texts } = logging()
    for (let i = 0; i <= MAX_REPEATS; i++) log.info({}, 'x')
    for (let i = 0; i < MAX_KINDS; i++) log.info({}, `kind ${i}`)
    expect(texts().at(-2)).toBe('x (… 1 more like this within a minute)')
    for (let i = 0; i < MAX_REPEATS; i++) log.info({}, 'kind 499')
    log.flush()
    expect(texts().at(-1)).toBe('kind 499 (… 1 more like this within a minute)')
  })
})

describe('the tail', () => {
  test('has the last lines, and no more', () => {
    const tail = new LogTail()
    for (let i = 0; i < MAX_TAIL_LINES + 10; i++) tail.push({ at: i, level: 'info', text: `${i}`.padEnd(5_000, 'x') })
    expect(tail.count).toBe(MAX_TAIL_LINES + 10)
    expect(tail.since(0)).toHaveLength(MAX_TAIL_LINES)
    expect(tail.since(0)[0]?.at).toBe(10)
    expect(tail.since(0)[0]?.text).toHaveLength(MAX_TAIL_LENGTH)
    expect(tail.since(tail.count - 2).map(({ at }) => at)).toEqual([MAX_TAIL_LINES + 8, MAX_TAIL_LINES + 9])
    expect(tail.since(tail.count)).toEqual([])
    expect(tail.since(tail.count + 5)).toEqual([])
  })
})

describe('topics', () => {
  test('get lines of the level that is wanted, in the form of Mosquitto, never those for debugging', () => {
    const sent: [string, string][] = []
    const { log } = logging({ level: 'debug', topics: 'info' })
    const say = () => {
      log.debug({}, 'd')
      log.info({ a: 1 }, 'i')
      log.warn({}, 'w')
      log.child({ bridge: 'b' }).error({}, 'e')
    }
    // Nobody is there to publish yet.
    say()
    log.topics!.send = (topic, line) => void sent.push([topic, line])
    say()
    const at = NOON / 1000
    expect(sent).toEqual([
      ['$SYS/broker/log/N', `${at}: i a=1`],
      ['$SYS/broker/log/W', `${at}: w`],
      ['$SYS/broker/log/E', `${at}: e bridge=b`],
    ])
  })

  test('do not get what publishing makes the gateway say', () => {
    const { log, texts } = logging({ topics: 'warn' })
    const sent: string[] = []
    log.topics!.send = (_, line) => {
      sent.push(line)
      log.error({}, 'it was not published')
      if (sent.length === 2) throw new Error('a subscriber is gone')
    }
    log.warn({}, 'one')
    expect(() => log.warn({}, 'two')).toThrow('gone')
    log.warn({}, 'three')
    expect(sent).toHaveLength(3)
    expect(texts()).toHaveLength(6)
  })

  test('are none unless they are wanted', () => {
    expect(logging().log.topics).toBeUndefined()
  })
})
