import { describe, expect, it } from 'vitest'
import { MAX_COMMAND_BYTES, MAX_PENDING_COMMANDS } from '../../../src/devices/link.ts'
import { DeviceManager } from '../../../src/devices/manager.ts'
import { MAX_FIELD_TOPICS, MAX_UNSETTLED } from '../../../src/devices/outlet.ts'
import type { Device, Schedule, Source } from '../../../src/devices/ports.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/wait.ts'
import { deferred, device, RecordingBroker, recordingLog, TestSource } from './recording.ts'

const never = new AbortController().signal
/** Longer than any deadline of the manager or its links. */
const LONG_MS = 60_000

function house(
  sources: Record<string, Source | (() => Source)>,
  more: Partial<Device> = {},
  schedules: Schedule[] = [],
) {
  const clock = new ManualClock()
  const broker = new RecordingBroker()
  const { log, lines } = recordingLog()
  const manager = new DeviceManager({
    devices: Object.keys(sources).map(name => device(name, more)),
    schedules,
    openSource: ({ name }) => {
      const source = sources[name] as Source | (() => Source)
      return typeof source === 'function' ? source() : source
    },
    broker,
    log,
    clock,
  })
  return { manager, broker, clock, lines }
}

/** Starts and stops while the manual clock is let run, for devices that hang. */
async function passing<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  await clock.advance(LONG_MS)
  return await work
}

class Sink extends TestSource {
  command(payload: string): Promise<void> {
    this.commands.push(payload)
    return payload === 'explode' ? Promise.reject(new Error('say on or off')) : Promise.resolve()
  }
}

describe('readings', () => {
  it('go to the topic as the device is configured', async () => {
    const source = new TestSource()
    const { manager, broker } = house({ T: source }, { qos: 1, shape: { scale: 0.1, offset: 0, round: 1 } })
    await manager.start(never)
    broker.published.length = 0
    source.events?.reading({ value: 215 })
    expect(broker.published).toEqual(['/Home/Kitchen/T 21.5 q1 r'])
  })

  it('with several values go to a topic each', async () => {
    const source = new TestSource()
    const { manager, broker } = house({ T: source }, { publish: 'fields', retain: false })
    await manager.start(never)
    broker.published.length = 0
    source.events?.reading({ value: { temp: 1, set: 2 } })
    expect(broker.published).toEqual(['/Home/Kitchen/T/temp 1', '/Home/Kitchen/T/set_ 2'])
  })

  it('cannot make topics without end', async () => {
    const source = new TestSource()
    const { manager, broker, lines } = house({ T: source }, { publish: 'fields' })
    await manager.start(never)
    broker.published.length = 0
    for (let i = 0; i < MAX_FIELD_TOPICS + 10; i++) {
      source.events?.reading({ value: { [`f${i}`]: 1 } })
      await Promise.resolve() // the broker takes it
    }
    source.events?.reading({ value: { f0: 2 } })
    await until(() => broker.published.length === MAX_FIELD_TOPICS + 1, { what: 'the first fields and the known one' })
    expect(broker.published.at(-1)).toBe('/Home/Kitchen/T/f0 2 r')
    expect(lines.filter(line => line.includes('different fields'))).toHaveLength(1)
  })

  it('that the broker does not take are dropped beyond a bound, and come again when it does', async () => {
    const source = new TestSource()
    const { manager, broker, lines } = house({ T: source })
    await manager.start(never)
    broker.published.length = 0
    const { promise, resolve } = deferred()
    broker.settle = () => promise
    for (let i = 0; i < MAX_UNSETTLED + 100; i++) source.events?.reading({ value: i })
    expect(broker.published).toHaveLength(MAX_UNSETTLED)
    expect(lines.filter(line => line.includes('dropped'))).toHaveLength(1)
    resolve()
    await until(
      () => {
        source.events?.reading({ value: 'again' })
        return broker.published.length > MAX_UNSETTLED
      },
      { what: 'a reading after the broker took the others' },
    )
  })

  it('that are wrong, and lines that are none, cost a line in the log', async () => {
    const source = new TestSource()
    const { manager, broker, lines, clock } = house({ T: source })
    await manager.start(never)
    broker.published.length = 0
    source.events?.reading({ value: Number.NaN })
    for (let i = 0; i < 100; i++) source.events?.fault(`not JSON: "${i}"`)
    source.events?.reading({ value: 1 })
    expect(broker.published).toEqual(['/Home/Kitchen/T 1 r'])
    await clock.advance(LONG_MS)
    expect(lines.filter(line => line.startsWith('warn'))).toEqual([
      'warn T: NaN is not a number that can be published',
      'warn T: not JSON: "99" (100 more)',
    ])
  })
})

describe('availability', () => {
  it('is online when the source has started and says nothing else, and offline at the stop', async () => {
    const source = new TestSource()
    const { manager, broker, clock } = house({ T: source })
    await manager.start(never)
    expect(broker.published).toEqual(['/Home/Kitchen/T/availability online r'])
    await manager.stop()
    expect(source.stops).toBe(1)
    source.events?.reading({ value: 1 })
    source.events?.available(true)
    expect(broker.published.slice(1)).toEqual(['/Home/Kitchen/T/availability offline r'])
    expect(clock.pending).toBe(0)
  })

  it('follows the source, without repeats', async () => {
    const source = new TestSource()
    const { manager, broker, lines } = house({ T: source })
    source.start = events => {
      source.events = events
      events.available(false, '/dev/x is not there')
      events.available(false, '/dev/x is not there')
      return Promise.resolve()
    }
    await manager.start(never)
    const last = () => broker.published.at(-1)
    expect(broker.published).toEqual(['/Home/Kitchen/T/availability offline r'])
    source.events?.available(true)
    source.events?.available(true)
    await until(() => last()?.endsWith('online r'), { what: 'online' })
    source.events?.available(false, 'unplugged')
    await until(() => last()?.endsWith('offline r'), { what: 'offline' })
    expect(broker.published).toHaveLength(3)
    expect(lines).toContain('warn T is offline: /dev/x is not there')
    expect(lines).toContain('info T is online')
  })

  it('ends with what is true when it changes faster than the broker takes it', async () => {
    const source = new TestSource()
    const { manager, broker } = house({ T: source })
    await manager.start(never)
    const { promise, resolve } = deferred()
    broker.settle = () => promise
    for (let i = 0; i < 1000; i++) source.events?.available(i % 2 === 1, `turn ${i}`)
    expect(broker.published).toHaveLength(2)
    resolve()
    await until(() => broker.published.at(-1)?.endsWith('online r'), { what: 'online in the end' })
    expect(broker.published.length).toBeLessThan(5)
  })

  it('is told after an absence that had several reasons', async () => {
    const source = new TestSource()
    const { manager, broker } = house({ T: source })
    await manager.start(never)
    for (const [up, reason] of [[true], [false, 'a'], [false, 'b'], [true]] as const) {
      source.events?.available(up, reason)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(broker.published.map(each => each.split(' ')[1])).toEqual(['online', 'offline', 'online'])
    await manager.stop()
    expect(broker.published.at(-1)).toContain('offline')
  })

  it('is published again when the broker refused it', async () => {
    const source = new TestSource()
    const { manager, broker, lines } = house({ T: source })
    broker.settle = () => Promise.reject(new Error('not now'))
    await manager.start(never)
    broker.settle = () => Promise.resolve()
    await manager.stop()
    expect(broker.published).toEqual([
      '/Home/Kitchen/T/availability online r',
      '/Home/Kitchen/T/availability offline r',
    ])
    expect(lines).toContain('warn T: a message was not published: not now')
  })
})

describe('a device that fails', () => {
  it('does not disturb the others', async () => {
    const good = new TestSource()
    const late = new TestSource()
    const { manager, broker, lines, clock } = house({
      Unmakeable: () => {
        throw new LarderError('DRIVER_MISSING', 'no driver', { hint: 'Install it.' })
      },
      Rejects: {
        start: () => Promise.reject(new Error('broken')),
        stop: () => Promise.reject(new Error('never called')),
      },
      Throws: {
        start: () => {
          throw new Error('at once')
        },
        stop: () => Promise.resolve(),
      },
      HangsAtStart: { start: () => new Promise(() => {}), stop: () => Promise.resolve() },
      HangsAtStop: { start: () => Promise.resolve(), stop: () => new Promise(() => {}) },
      FailsAtStop: { start: () => Promise.resolve(), stop: () => Promise.reject(new Error('stuck')) },
      Good: good,
      Late: late,
    })
    await passing(clock, manager.start(never))
    expect(new Set(broker.published)).toEqual(
      new Set([
        '/Home/Kitchen/Unmakeable/availability offline r',
        '/Home/Kitchen/Rejects/availability offline r',
        '/Home/Kitchen/Throws/availability offline r',
        '/Home/Kitchen/HangsAtStart/availability offline r',
        '/Home/Kitchen/HangsAtStop/availability online r',
        '/Home/Kitchen/FailsAtStop/availability online r',
        '/Home/Kitchen/Good/availability online r',
        '/Home/Kitchen/Late/availability online r',
      ]),
    )
    expect(lines).toContain('warn Unmakeable is offline: DRIVER_MISSING: no driver Install it.')
    good.events?.reading({ value: 1 })
    expect(broker.published.at(-1)).toBe('/Home/Kitchen/Good 1 r')
    broker.published.length = 0
    await passing(clock, manager.stop())
    expect(broker.published.filter(line => line.endsWith('availability offline r'))).toHaveLength(4)
    expect(good.stops + late.stops).toBe(2)
    expect(lines.filter(line => line.includes('did not')).sort()).toEqual([
      'warn FailsAtStop did not stop: stuck',
      'warn HangsAtStart did not stop within 3000 ms',
      'warn HangsAtStop did not stop within 3000 ms',
    ])
    expect(clock.pending).toBe(0)
  })

  it('is told to give up starting when the gateway stops', async () => {
    const { manager, clock, lines } = house({
      Slow: {
        start: (_, signal) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
        stop: () => Promise.reject(new Error('was never started')),
      },
    })
    await passing(clock, manager.start(never))
    await manager.stop()
    expect(lines.filter(line => line.includes('did not'))).toEqual([])
  })

  it('cannot stop the gateway when the broker hangs', async () => {
    const { manager, broker, clock } = house({ T: new TestSource() })
    await manager.start(never)
    broker.settle = () => new Promise(() => {})
    await passing(clock, manager.stop())
    expect(clock.pending).toBe(0)
  })
})

it('an aborted start leaves nothing behind', async () => {
  const source = new Sink()
  const { manager, broker, clock } = house({
    T: source,
    Hangs: { start: () => new Promise(() => {}), stop: async () => {} },
  })
  const abort = new AbortController()
  const starting = manager.start(abort.signal)
  abort.abort(new Error('enough'))
  const outcome = expect(starting).rejects.toThrow('enough')
  await passing(clock, outcome)
  expect(source.stops).toBe(1)
  expect(broker.subscriptions).toEqual([])
  expect(clock.pending).toBe(0)
})

it('takes a device of somebody else while it runs', async () => {
  const source = new TestSource()
  const { manager, broker } = house({})
  await manager.start(never)
  await manager.add(device('Mine'), source)
  source.events?.reading({ value: 'here' })
  expect(broker.published).toEqual(['/Home/Kitchen/Mine/availability online r', '/Home/Kitchen/Mine here r'])
  await manager.stop()
  expect(source.stops).toBe(1)
})

describe('commands', () => {
  it('come on …/set, in order; a refusal is answered on …/error', async () => {
    const sink = new Sink()
    const { manager, broker, lines } = house({ Lamp: sink, T: new TestSource() })
    await manager.start(never)
    expect(broker.subscriptions).toEqual(['/Home/Kitchen/Lamp/set'])
    broker.published.length = 0
    for (const payload of ['on', 'explode', 'off']) broker.send('/Home/Kitchen/Lamp/set', payload)
    await until(() => broker.published.length > 0 && sink.commands.length === 3, {
      what: 'three commands and an error',
    })
    expect(sink.commands).toEqual(['on', 'explode', 'off'])
    expect(broker.published).toEqual(['/Home/Kitchen/Lamp/error say on or off'])
    expect(lines).toContain('warn Lamp refused a command: say on or off')
    await manager.stop()
    expect(broker.subscriptions).toEqual([])
  })

  it('are obeyed when they are retained, with a note; an empty one only takes the retained one back', async () => {
    const sink = new Sink()
    const { manager, broker, lines } = house({ Lamp: sink })
    await manager.start(never)
    broker.send('/Home/Kitchen/Lamp/set', 'on', true)
    broker.send('/Home/Kitchen/Lamp/set', '')
    await until(() => sink.commands.length > 0, { what: 'the command' })
    expect(sink.commands).toEqual(['on'])
    expect(lines).toContain('info Lamp gets a retained command')
  })

  it.each([
    ['binary', Buffer.of(0xff, 0xfe), 'a command must be text in UTF-8'],
    ['huge', Buffer.alloc(MAX_COMMAND_BYTES + 1, 'x'), `a command may have ${MAX_COMMAND_BYTES} bytes`],
  ])('that are %s are refused', async (_, payload, reason) => {
    const sink = new Sink()
    const { manager, broker } = house({ Lamp: sink })
    await manager.start(never)
    broker.published.length = 0
    broker.send('/Home/Kitchen/Lamp/set', payload)
    await until(() => broker.published.length > 0, { what: 'an error' })
    expect(broker.published).toEqual([`/Home/Kitchen/Lamp/error ${reason}`])
    expect(sink.commands).toEqual([])
  })

  it('wait until the source has started; one that cannot start refuses them', async () => {
    const started = deferred()
    const slow = new Sink()
    slow.start = () => started.promise
    const broken = new Sink()
    broken.start = () => Promise.reject(new Error('broken'))
    const { manager, broker, clock } = house({ Slow: slow, Broken: broken })
    const starting = manager.start(never)
    await clock.advance(0)
    broker.send('/Home/Kitchen/Slow/set', 'on', true)
    broker.send('/Home/Kitchen/Broken/set', 'on', true)
    await clock.advance(0)
    expect(slow.commands).toEqual([])
    started.resolve()
    await starting
    await until(() => slow.commands.length > 0, { what: 'the command' })
    expect(broker.published).toContain('/Home/Kitchen/Broken/error Broken could not be started')
    expect(broken.commands).toEqual([])
  })

  it('that cannot be listened for cost a line in the log', async () => {
    const { manager, broker, lines } = house({ Lamp: new Sink(), T: new TestSource() })
    broker.subscribe = () => {
      throw new Error('no room')
    }
    await manager.start(never)
    expect(lines).toContain('warn Lamp gets no commands: no room')
    await manager.stop()
  })

  it('wait for each other, and not in any number', async () => {
    const sink = new Sink()
    const { promise, resolve } = deferred()
    sink.command = async payload => {
      sink.commands.push(payload)
      await promise
    }
    const { manager, broker } = house({ Lamp: sink })
    await manager.start(never)
    broker.published.length = 0
    for (let i = 0; i <= MAX_PENDING_COMMANDS; i++) broker.send('/Home/Kitchen/Lamp/set', String(i))
    await until(() => broker.published.length > 0, { what: 'the refusal of the last' })
    expect(broker.published).toEqual([
      `/Home/Kitchen/Lamp/error Lamp still has ${MAX_PENDING_COMMANDS} commands to carry out`,
    ])
    expect(sink.commands).toEqual(['0'])
    resolve()
    await until(() => sink.commands.length === MAX_PENDING_COMMANDS, { what: 'all others' })
    expect(sink.commands).toEqual(Array.from({ length: MAX_PENDING_COMMANDS }, (_, i) => String(i)))
  })
})

describe('schedules', () => {
  const everySecond = { cron: '* * * * * *', timezone: 'UTC' }

  it('poll, publish and set', async () => {
    const meter = Object.assign(new TestSource(), { poll: async () => meter.events?.reading({ value: 7 }) })
    const sink = new Sink()
    const { manager, broker, clock } = house({ Meter: meter, Lamp: sink }, {}, [
      { ...everySecond, poll: 'Meter' },
      { ...everySecond, set: { device: 'Kitchen/Lamp', value: true } },
      { ...everySecond, publish: { topic: 'tick', payload: 5, qos: 1, retain: true } },
      { ...everySecond, publish: { topic: 'tock', payload: 'x' } },
    ])
    await manager.start(never)
    broker.published.length = 0
    await clock.advance(1000)
    expect(broker.published.sort()).toEqual(['/Home/Kitchen/Meter 7 r', 'tick 5 q1 r', 'tock x'])
    expect(sink.commands).toEqual(['true'])
    await manager.stop()
    await clock.advance(5000)
    expect(sink.commands).toEqual(['true'])
    expect(clock.pending).toBe(0)
  })

  it('that fail say so and go on', async () => {
    const { manager, lines, clock } = house({ T: new TestSource() }, {}, [
      { ...everySecond, name: 'a', poll: 'T' },
      { ...everySecond, name: 'b', poll: 'Nobody' },
      { ...everySecond, name: 'c', set: { device: 'T', value: 'on' } },
    ])
    await manager.start(never)
    await clock.advance(5000)
    expect(lines.filter(line => line.startsWith('warn')).sort()).toEqual([
      'warn schedule a failed: T cannot be polled: it reports by itself',
      'warn schedule b failed: there is no device called "Nobody"',
      'warn schedule c failed: T takes no commands',
    ])
    await manager.stop()
  })

  it('do not poll a device that is still being polled', async () => {
    let polls = 0
    const slow = Object.assign(new TestSource(), {
      poll: () => {
        polls++
        return new Promise<void>(() => {})
      },
    })
    const { manager, clock, lines } = house({ T: slow }, {}, [
      { ...everySecond, name: 'a', poll: 'T' },
      { ...everySecond, name: 'b', poll: 'T' },
    ])
    await manager.start(never)
    await clock.advance(10_000)
    expect(polls).toBe(1)
    expect(lines.filter(line => line.includes('skipped'))).toEqual([
      'warn schedule a is still busy with its last run; this one is skipped',
    ])
    await manager.stop()
  })
})
