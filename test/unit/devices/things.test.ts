/** From a reading to messages, as the owner wants them: fields, parts, stamps, silence, and the state that is told of it all. */
import { describe, expect, it } from 'vitest'
import { DeviceManager } from '../../../src/devices/manager.ts'
import type { Device, DevicePart, DeviceState, Reading } from '../../../src/devices/ports.ts'
import { REPORT_INTERVAL_MS } from '../../../src/devices/report.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { device as described, RecordingBroker, recordingLog, TestSource } from './recording.ts'

const never = new AbortController().signal
const NOON = Date.UTC(2026, 0, 1, 12)
const AS_IS = { scale: 1, offset: 0 }

/** A house with one device, which has just come online. */
async function house(more: Partial<Device> = {}, source = new TestSource()) {
  const clock = new ManualClock(NOON)
  const broker = new RecordingBroker()
  const { log, lines } = recordingLog()
  const isSynced = { now: true, asked: 0 }
  const sync = {
    isSynced: () => {
      isSynced.asked++
      return isSynced.now
    },
  }
  const one = described('T', more)
  const manager = new DeviceManager({
    devices: [one],
    schedules: [],
    openSource: () => source,
    broker,
    log,
    clock,
    sync,
  })
  await manager.start(never)
  broker.published.length = 0
  broker.properties.length = 0
  const say = (value: Reading['value'], at?: number) => source.events?.reading({ value, at })
  const states = () => Object.fromEntries(manager.states().map(state => [state.name, state]))
  return { manager, broker, clock, lines, source, say, isSynced, one, states }
}

const part = (name: string, more: Partial<DevicePart> = {}): DevicePart => ({
  ...described(name),
  when: {},
  ...more,
})

describe('named values', () => {
  it('are scaled, renamed and dropped one by one', async () => {
    const { broker, say } = await house({
      shape: { ...AS_IS, round: 1 },
      fields: {
        TEMP: { scale: 0.1, offset: 0, name: 'temperature' },
        RSSI: 'drop',
        BAT: { ...AS_IS, map: { OK: true } },
      },
    })
    say({ TEMP: 215, HUM: 40.123, RSSI: -70, BAT: 'OK' })
    expect(broker.published).toEqual(['/Home/Kitchen/T {"temperature":21.5,"HUM":40.1,"BAT":true} r'])
  })

  it('are a topic each, each with its own pace', async () => {
    const { broker, say, clock, manager } = await house({
      publish: 'fields',
      minInterval: 10_000,
      fields: { power: { ...AS_IS, minInterval: 1_000 } },
    })
    for (let second = 0; second < 5; second++) {
      say({ power: second, energy: second, set: second })
      await clock.advance(1_000)
    }
    expect(broker.published).toEqual([
      '/Home/Kitchen/T/power 0 r',
      '/Home/Kitchen/T/energy 0 r',
      '/Home/Kitchen/T/set_ 0 r',
      ...[1, 2, 3, 4].map(value => `/Home/Kitchen/T/power ${value} r`),
    ])
    broker.published.length = 0
    await manager.stop()
    expect(broker.published).toEqual([
      '/Home/Kitchen/T/energy 4 r',
      '/Home/Kitchen/T/set_ 4 r',
      '/Home/Kitchen/T/availability offline r',
    ])
    expect(clock.pending).toBe(0)
  })

  it('are a topic each, with a window of their own or that of the device', async () => {
    const { broker, say, clock } = await house({
      publish: 'fields',
      window: { every: 60_000, of: 'max' },
      fields: { rain: { ...AS_IS, window: { every: 20_000, of: 'sum' } } },
    })
    for (let i = 1; i <= 4; i++) {
      say({ rain: i, wind: i })
      await clock.advance(10_000)
    }
    expect(broker.published).toEqual(['/Home/Kitchen/T/rain 3 r', '/Home/Kitchen/T/rain 7 r'])
    await clock.advance(20_000)
    expect(broker.published.slice(2)).toEqual(['/Home/Kitchen/T/wind 4 r'])
  })

  it('can be cut down to one', async () => {
    const { broker, say } = await house({ value: 'TEMP', shape: { scale: 0.1, offset: 0 } })
    say({ TEMP: 215, HUM: 40 })
    say({ HUM: 41 })
    say(200)
    expect(broker.published).toEqual(['/Home/Kitchen/T 21.5 r', '/Home/Kitchen/T 20 r'])
  })

  it('come together in a window, each as itself', async () => {
    const { broker, say, clock } = await house({
      window: { every: 60_000, of: 'average' },
      shape: { ...AS_IS, round: 2 },
    })
    for (const [t, door] of [
      [20, 'open'],
      [21, 'open'],
      [21, 'closed'],
    ] as const) {
      say({ t, door })
      await clock.advance(10_000)
    }
    expect(broker.published).toEqual([])
    await clock.advance(30_000)
    expect(broker.published).toEqual(['/Home/Kitchen/T {"t":20.67,"door":"closed"} r'])
    await clock.advance(300_000)
    expect(broker.published).toHaveLength(1)
  })
})

describe('a stamp', () => {
  it('in the payload has the time of the reading and a number', async () => {
    const { broker, say, clock } = await house({ stamp: 'json' })
    say(21.5)
    await clock.advance(1_500)
    say({ t: 1, time: 'a field' }, NOON - 60_000)
    expect(broker.published).toEqual([
      '/Home/Kitchen/T {"value":21.5,"time":"2026-01-01T12:00:00.000Z","seq":1} r',
      '/Home/Kitchen/T {"value":{"t":1,"time":"a field"},"time":"2026-01-01T11:59:00.000Z","seq":2} r',
    ])
    expect(broker.properties).toEqual([{}, {}])
  })

  it('in user properties leaves the payload as it is', async () => {
    const { broker, say } = await house({ stamp: 'properties', publish: 'fields' })
    say({ t: 1, h: 2 })
    say({ t: 3 })
    expect(broker.published).toEqual(['/Home/Kitchen/T/t 1 r', '/Home/Kitchen/T/h 2 r', '/Home/Kitchen/T/t 3 r'])
    const time = ['time', '2026-01-01T12:00:00.000Z']
    expect(broker.properties).toEqual([
      { userProperties: [time, ['seq', '1']] },
      { userProperties: [time, ['seq', '1']] },
      { userProperties: [time, ['seq', '2']] },
    ])
  })

  it('tells no time while nobody knows it', async () => {
    const { broker, say, isSynced, clock } = await house({ stamp: 'json' })
    isSynced.now = false
    for (let i = 0; i < 100; i++) say(1)
    expect(isSynced.asked).toBe(1)
    broker.published.length = 0
    say(1)
    say(2, NOON)
    say(3, Number.NaN)
    isSynced.now = true
    await clock.advance(2_000)
    say(4)
    // Somebody sets it to what cannot be.
    isSynced.now = false
    clock.jumpWall(-365 * 86_400_000)
    say(5)
    expect(broker.published.map(line => line.slice('/Home/Kitchen/T '.length))).toEqual([
      '{"value":1,"synced":false,"seq":101} r',
      '{"value":2,"time":"2026-01-01T12:00:00.000Z","seq":102} r',
      '{"value":3,"synced":false,"seq":103} r',
      '{"value":4,"time":"2026-01-01T12:00:02.000Z","seq":104} r',
      '{"value":5,"synced":false,"seq":105} r',
    ])
  })
})

describe('what is repeated', () => {
  it('is not while the device is away, and is again once it speaks, moved or not', async () => {
    const shape = { ...AS_IS, deadband: { by: 1, relative: false } }
    const { broker, say, clock, source } = await house({ maxInterval: 60_000, minInterval: 10_000, shape })
    say(1)
    say(5)
    source.events?.available(false, 'unplugged')
    await clock.advance(600_000)
    const readings = () => broker.published.splice(0).filter(line => line.startsWith('/Home/Kitchen/T '))
    expect(readings()).toEqual(['/Home/Kitchen/T 1 r', '/Home/Kitchen/T 5 r'])
    source.events?.available(true)
    await clock.advance(600_000)
    expect(readings()).toEqual([])
    say(5.5)
    await clock.advance(60_000)
    expect(readings()).toEqual(['/Home/Kitchen/T 5.5 r', '/Home/Kitchen/T 5.5 r'])
  })
})

describe('silence', () => {
  it('makes a device offline, and a word online again', async () => {
    const { broker, say, clock, states, lines } = await house({ staleAfter: 60_000, retain: false })
    await clock.advance(30_000)
    say(1)
    await clock.advance(59_000)
    expect(broker.published).toEqual(['/Home/Kitchen/T 1'])
    expect(states().T?.state).toBe('online')
    await clock.advance(1_000)
    expect(broker.published.slice(1)).toEqual(['/Home/Kitchen/T/availability offline r'])
    expect(states().T).toMatchObject({
      state: 'stale',
      since: NOON + 90_000,
      lastFault: { reason: 'nothing was heard of it for 60 s' },
    })
    expect(lines).toContain('warn T is offline: nothing was heard of it for 60 s')
    say(2)
    await clock.advance(0)
    expect(new Set(broker.published.slice(2))).toEqual(
      new Set(['/Home/Kitchen/T/availability online r', '/Home/Kitchen/T 2']),
    )
    expect(states().T?.state).toBe('online')
  })

  it('counts from when a device that was away is back', async () => {
    const { broker, clock, source } = await house({ staleAfter: 60_000 })
    await clock.advance(50_000)
    source.events?.available(false, 'unplugged')
    await clock.advance(50_000)
    source.events?.available(true)
    await clock.advance(59_000)
    expect(broker.published.at(-1)).toBe('/Home/Kitchen/T/availability online r')
    await clock.advance(1_000)
    expect(broker.published.at(-1)).toBe('/Home/Kitchen/T/availability offline r')
  })

  it('lets what is retained expire, and not before: it is renewed while the device speaks', async () => {
    const deadband = { by: 5, relative: false }
    const { broker, say, clock } = await house({ staleAfter: 60_000, shape: { ...AS_IS, deadband } })
    for (let i = 0; i < 12; i++) {
      say(20 + i / 10)
      await clock.advance(10_000)
    }
    expect(broker.published).toEqual([20, 20.2, 20.5, 20.8, 21.1].map(value => `/Home/Kitchen/T ${value} r`))
    expect(broker.properties).toEqual(broker.published.map(() => ({ messageExpiryInterval: 60 })))
    broker.published.length = 0
    await clock.advance(600_000)
    expect(broker.published).toEqual(['/Home/Kitchen/T 21.1 r', '/Home/Kitchen/T/availability offline r'])
  })
})

describe('parts', () => {
  const receiver = {
    parts: [
      part('Fridge', { when: { id: ['0001'] }, value: 'TEMP', staleAfter: 60_000, shape: { scale: 0.1, offset: 0 } }),
      part('Garden', { when: { id: ['7', '8'], protocol: ['Oregon'] }, topic: 'garden', publish: 'fields' }),
      part('Weather', { value: 'HUM', topic: 'hum' }),
    ],
  }

  it('each get the readings that they match, the device the others', async () => {
    const { broker, say } = await house(receiver)
    say({ id: '0001', TEMP: 41 })
    say({ id: '0001', HUM: 5 })
    say({ id: 7, protocol: 'Oregon', t: 1 })
    say({ id: 7, protocol: 'Else', t: 2 })
    say({ id: '0002', TEMP: 50 })
    say('alone')
    expect(broker.published).toEqual([
      '/Home/Kitchen/Fridge 4.1 r',
      'hum 5 r',
      'garden/id 7 r',
      'garden/protocol Oregon r',
      'garden/t 1 r',
      '/Home/Kitchen/T {"id":7,"protocol":"Else","t":2} r',
      '/Home/Kitchen/T {"id":"0002","TEMP":50} r',
      '/Home/Kitchen/T alone r',
    ])
  })

  it('can have what nobody matches dropped', async () => {
    const { broker, say, states } = await house({ ...receiver, others: 'drop' })
    say({ id: '0002', TEMP: 50 })
    say({ id: '0001', TEMP: 50 })
    expect(broker.published).toEqual(['/Home/Kitchen/Fridge 5 r'])
    expect(states().T?.counters.readings).toBe(2)
    expect(states().Fridge?.counters.readings).toBe(1)
  })

  it('are there with their device, and each goes silent by itself', async () => {
    const { broker, say, clock, source, manager, states, lines } = await house(receiver)
    const availability = () => broker.published.splice(0).filter(line => line.includes('availability'))
    for (let i = 0; i < 7; i++) {
      say({ id: 7, protocol: 'Oregon' })
      await clock.advance(10_000)
    }
    expect(availability()).toEqual(['/Home/Kitchen/Fridge/availability offline r'])
    expect(states()).toMatchObject({ Fridge: { state: 'stale', partOf: 'T' }, Garden: { state: 'online' } })
    say({ id: '0001', TEMP: 50 })
    await clock.advance(0)
    expect(availability()).toEqual(['/Home/Kitchen/Fridge/availability online r'])
    source.events?.available(false, 'unplugged')
    await clock.advance(0)
    expect(availability()).toHaveLength(4)
    expect(lines.filter(line => line.includes('unplugged'))).toEqual(['warn T is offline: unplugged'])
    source.events?.available(true)
    await clock.advance(0)
    expect(availability().every(line => line.endsWith('online r'))).toBe(true)
    await manager.stop()
    expect(availability()).toHaveLength(4)
    expect(clock.pending).toBe(0)
  })

  it('do not disturb each other', async () => {
    const { broker, say, states } = await house({ parts: [part('A', { value: 'x' }), part('B', { value: 'x' })] })
    broker.settle = topic => (topic === '/Home/Kitchen/A' ? Promise.reject(new Error('no')) : Promise.resolve())
    say({ x: Number.NaN })
    say({ x: 1 })
    expect(broker.published).toEqual(['/Home/Kitchen/A 1 r', '/Home/Kitchen/B 1 r'])
    await Promise.resolve()
    await Promise.resolve()
    expect(states().A?.counters).toEqual({ readings: 2, dropped: 1, faults: 2, commands: 0 })
    expect(states().B?.counters).toEqual({ readings: 2, dropped: 0, faults: 1, commands: 0 })
  })
})

describe('topics', () => {
  it('are where the owner wants them', async () => {
    const sink = Object.assign(new TestSource(), {
      command: async (payload: string) => {
        if (payload === 'no') throw new Error('not today')
        sink.commands.push(payload)
      },
    })
    const more = { availabilityTopic: 'there', commandTopic: 'do', errorTopic: 'wrong' }
    const { broker, clock, manager, states } = await house(more, sink)
    expect(broker.subscriptions).toEqual(['do'])
    broker.send('do', 'yes')
    broker.send('do', 'no')
    await clock.advance(0)
    expect(sink.commands).toEqual(['yes'])
    expect(broker.published).toEqual(['wrong not today'])
    expect(states().T?.counters.commands).toBe(2)
    await manager.stop()
    expect(broker.published.at(-1)).toBe('there offline r')
  })
})

describe('the state of a device', () => {
  it('says what its values are', async () => {
    const source = Object.assign(new TestSource(), {
      values: {
        power: { unit: 'W', deviceClass: 'power', stateClass: 'measurement' },
        rssi: { unit: 'dB' },
        '': { unit: '°C' },
      } satisfies DeviceState['values'],
    })
    const { say, states } = await house(
      {
        fields: {
          power: { scale: 0.001, offset: 0, name: 'kW', unit: 'kW' },
          rssi: 'drop',
          water: { ...AS_IS, unit: 'm³' },
        },
        parts: [part('Part', { value: 'power', shape: { ...AS_IS, deviceClass: 'energy' } })],
      },
      source,
    )
    say({ seen: 1, rssi: -70 })
    expect(states().T?.values).toEqual({
      '': { unit: '°C' },
      kW: { unit: 'kW', deviceClass: 'power', stateClass: 'measurement' },
      water: { unit: 'm³' },
      seen: {},
    })
    expect(states().Part?.values).toEqual({ '': { unit: 'W', deviceClass: 'energy', stateClass: 'measurement' } })
  })

  it('has the numbers that were published last, and when the thing was heard', async () => {
    const { say, states, clock } = await house({
      publish: 'fields',
      shape: { ...AS_IS, round: 1 },
      fields: { t: { scale: 0.1, offset: 0, name: 'temperature', minInterval: 1_000 } },
    })
    expect(states().T).toMatchObject({ numbers: {}, heardAt: undefined })
    say({ t: 215.4, door: true, text: 'wet' })
    expect(states().T).toMatchObject({ numbers: { temperature: 21.5, door: 1 }, heardAt: NOON })
    await clock.advance(400)
    say({ t: 300 })
    // It goes out when its time has come.
    expect(states().T).toMatchObject({ numbers: { temperature: 21.5 }, heardAt: NOON + 400 })
    await clock.advance(600)
    expect(states().T?.numbers).toEqual({ temperature: 30, door: 1 })
    say({ door: 'ajar' })
    expect(states().T?.numbers).toEqual({ temperature: 30 })
  })

  it('is told without a source that fails to say what it knows', async () => {
    const source = new TestSource()
    Object.defineProperty(source, 'values', {
      get: () => {
        throw new Error('not now')
      },
    })
    const { states } = await house({}, source)
    expect(states().T).toMatchObject({ state: 'online', values: {} })
  })

  it('stands below $SYS, is told every ten seconds, and only what has changed', async () => {
    const { broker, clock, say, source, manager, one } = await house({ parts: [part('Part', { value: 'x' })] })
    expect([...broker.system]).toEqual([
      ['Kitchen/T/state', 'online'],
      ['Kitchen/T/readings', '0'],
      ['Kitchen/T/faults', '0'],
      ['Kitchen/Part/state', 'online'],
      ['Kitchen/Part/readings', '0'],
      ['Kitchen/Part/faults', '0'],
    ])
    broker.system.clear()
    for (let i = 0; i < 100; i++) say(i)
    source.events?.fault('not JSON')
    await clock.advance(REPORT_INTERVAL_MS - 1)
    expect(broker.system.size).toBe(0)
    await clock.advance(1)
    expect(Object.fromEntries(broker.system)).toEqual({
      'Kitchen/T/readings': '100',
      'Kitchen/T/faults': '1',
      'Kitchen/T/last_fault': 'not JSON',
    })
    // A device that is there no more is taken back; so is everything at the stop.
    broker.system.set('Kitchen/T/state', 'online')
    await manager.apply([{ ...one, name: 'New', parts: [] }], [], never)
    expect([...broker.system.keys()]).toEqual(['Kitchen/New/state', 'Kitchen/New/readings', 'Kitchen/New/faults'])
    await manager.stop()
    expect(broker.system.size).toBe(0)
    expect(clock.pending).toBe(0)
  })
})
