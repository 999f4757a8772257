/** When what is published: at the start, with new values, at Home Assistant's start, after a reload, after a restart. */
import { describe, expect, test } from 'vitest'
import type { Role } from '../../../../src/devices/home-assistant/component.ts'
import { gatewayId, thingId } from '../../../../src/devices/home-assistant/ids.ts'
import {
  HomeAssistant,
  type HomeAssistantSettings,
  LOOK_INTERVAL_MS,
  MAX_ANSWER_DELAY_MS,
} from '../../../../src/devices/home-assistant/publisher.ts'
import { DeviceManager } from '../../../../src/devices/manager.ts'
import type { CommandListener, Device, DeviceBroker, PublishOptions } from '../../../../src/devices/ports.ts'
import { filterMatches } from '../../../../src/mqtt/topics.ts'
import { discoveryFaults } from '../../../support/home-assistant.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { device, recordingLog, TestSource } from '../recording.ts'

const never = new AbortController().signal
const SETTINGS: HomeAssistantSettings = {
  enabled: true,
  prefix: 'homeassistant',
  birthTopic: 'homeassistant/status',
}
const GATEWAY = gatewayId('Larder')
const AVAILABILITY = `homeassistant/device/${GATEWAY}/availability`
const STATE = `homeassistant/device/${GATEWAY}/state`

/** A broker that keeps retained messages, as the real one does over a restart, and remembers what was published. */
class RetainingBroker implements DeviceBroker {
  readonly retained = new Map<string, string>()
  readonly published: { topic: string; payload: string; options: PublishOptions }[] = []
  readonly #listeners = new Map<CommandListener, string>()
  refuse = false

  async publish(topic: string, payload: Buffer, options: PublishOptions): Promise<void> {
    if (this.refuse) throw new Error('the store has no room')
    if (topic.startsWith('$SYS/')) return
    this.published.push({ topic, payload: `${payload}`, options })
    if (!options.retain) return
    if (payload.length === 0) this.retained.delete(topic)
    else this.retained.set(topic, `${payload}`)
  }

  subscribe(filter: string, listener: CommandListener): () => void {
    this.#listeners.set(listener, filter)
    for (const [topic, payload] of this.retained) {
      if (filterMatches(filter, topic)) listener(topic, Buffer.from(payload), true)
    }
    return () => void this.#listeners.delete(listener)
  }

  /** A message of a client. */
  send(topic: string, payload: string, retained = false): void {
    for (const [listener, filter] of this.#listeners) {
      if (filterMatches(filter, topic)) listener(topic, Buffer.from(payload), retained)
    }
  }

  get announced(): string[] {
    return [...this.retained.keys()].filter(topic => topic.endsWith('/config')).sort()
  }

  /** Topics and payloads of the announcements since it was asked last. */
  news(): [topic: string, payload: string][] {
    const messages = this.published.splice(0).filter(({ topic }) => topic.endsWith('/config'))
    return messages.map(({ topic, payload }) => [topic, payload])
  }
}

/** A gateway with devices of which the test is the source. `broker` is the one of an earlier life. */
async function house(names: readonly string[], { broker = new RetainingBroker(), ...more }: Partial<Life> = {}) {
  const clock = new ManualClock()
  const { log, lines } = recordingLog()
  const sources = new Map(names.map(name => [name, new TestSource()]))
  const devices = names.map(name => device(name, more.device))
  const openSource = ({ name }: Device) => sources.get(name) as TestSource
  const manager = new DeviceManager({ devices, schedules: [], openSource, broker, log, clock })
  const health = {
    store: 'whole',
    troubles: [] as string[],
    bridges: [] as { name: string; connected: boolean; waiting: number }[],
  }
  const homeAssistant = new HomeAssistant({
    settings: { ...SETTINGS, ...more.settings },
    gateway: { name: 'Larder' },
    devices: () => manager.inventory(),
    roleOf: () => more.role ?? 'sensor',
    health: () => health,
    broker,
    clock,
    log,
    random: () => 0.5,
  })
  await manager.start(never)
  await homeAssistant.start(never)
  const say = (name: string, value: number | Record<string, number>) => sources.get(name)?.events?.reading({ value })
  const look = () => clock.advance(LOOK_INTERVAL_MS)
  const stop = async () => {
    await homeAssistant.stop()
    await manager.stop()
  }
  return { manager, homeAssistant, broker, clock, lines, say, look, stop, devices, health }
}

interface Life {
  broker: RetainingBroker
  device: Partial<Device>
  settings: Partial<HomeAssistantSettings>
  role: Role
}

const topicOf = (name: string, prefix = 'homeassistant') =>
  `${prefix}/device/${thingId('Larder', { room: 'Kitchen', name })}/config`
const OWN = `homeassistant/device/${GATEWAY}/config`

const fields = (payload: string): string[] =>
  Object.values<{ name?: string }>(JSON.parse(payload).components).map(({ name }) => name ?? '-')

describe('announcements', () => {
  test('are retained, of QoS 1 and as Home Assistant wants them; a device comes with its first value', async () => {
    const { broker, say, look } = await house(['A', 'B'])
    expect(broker.announced).toEqual([OWN])
    say('A', 1)
    await look()
    expect(broker.announced).toEqual([OWN, topicOf('A')].sort())
    const messages = broker.published.filter(({ topic }) => topic.endsWith('/config'))
    for (const { topic, payload, options } of messages) {
      expect(options).toEqual({ qos: 1, retain: true })
      expect(discoveryFaults(topic, payload)).toEqual([])
    }
    expect(broker.retained.get(AVAILABILITY)).toBe('online')
  })

  test('are made again when a value shows up that was not there, and only then', async () => {
    const { broker, say, look } = await house(['A'])
    say('A', { t: 1 })
    await look()
    broker.news()
    say('A', { t: 2 })
    await look()
    expect(broker.news()).toEqual([])
    say('A', { t: 2, h: 1 })
    await look()
    expect(broker.news().map(([topic, payload]) => [topic, fields(payload).sort()])).toEqual([
      [topicOf('A'), ['H', 'T']],
    ])
  })

  test('stand over a restart without a message, also of a device that has not spoken yet', async () => {
    const first = await house(['A'])
    first.say('A', { t: 1, h: 2 })
    await first.look()
    await first.stop()
    const before = new Map(first.broker.retained)
    expect(before.get(AVAILABILITY)).toBe('offline')
    first.broker.news()
    const second = await house(['A'], { broker: first.broker })
    expect(second.broker.news()).toEqual([])
    second.say('A', { h: 2 })
    await second.look()
    expect(second.broker.news()).toEqual([])
    expect(second.broker.retained.get(topicOf('A'))).toBe(before.get(topicOf('A')))
    expect(second.broker.retained.get(AVAILABILITY)).toBe('online')
  })

  test('that the broker did not take are made at the next look', async () => {
    const { broker, say, look, lines } = await house(['A'])
    broker.refuse = true
    say('A', 1)
    await look()
    await look()
    expect(broker.announced).toEqual([OWN])
    expect(lines.filter(line => /homeassistant\S+ was not published/.test(line))).toHaveLength(1)
    broker.refuse = false
    await look()
    expect(broker.announced).toContain(topicOf('A'))
  })
})

describe('what is gone', () => {
  test('from the configuration is taken back at a reload', async () => {
    const { broker, manager, homeAssistant, say, look, devices } = await house(['A', 'B'])
    say('A', 1)
    say('B', 1)
    await look()
    broker.news()
    await manager.apply(devices.slice(1), [], never)
    homeAssistant.apply(SETTINGS)
    expect(broker.news()).toEqual([[topicOf('A'), '']])
    expect(broker.announced).toEqual([OWN, topicOf('B')].sort())
  })

  test('from the configuration is taken back after a restart; of others nothing is', async () => {
    const first = await house(['A', 'B'])
    first.say('A', 1)
    first.say('B', 1)
    await first.look()
    await first.stop()
    const { broker } = first
    const text = broker.retained.get(topicOf('A')) as string
    const foreign = {
      'homeassistant/device/zigbee/config': text.replaceAll('Larder', 'Zigbee'),
      'homeassistant/device/attic/config': text.replaceAll(GATEWAY, gatewayId('Attic')),
      'homeassistant/device/noise/config': '{"origin":',
      'homeassistant/device/null/config': '{"origin":null,"components":{"a":null}}',
      'homeassistant/sensor/x/config': text,
    }
    for (const [topic, payload] of Object.entries(foreign)) broker.retained.set(topic, payload)
    broker.news()
    await house(['B'], { broker })
    expect(broker.news()).toEqual([[topicOf('A'), '']])
    for (const [topic, payload] of Object.entries(foreign)) expect(broker.retained.get(topic)).toBe(payload)
  })

  test('from a device that stays goes by its platform alone, and is then left out', async () => {
    const first = await house(['A'])
    first.say('A', { t: 1, h: 2 })
    await first.look()
    await first.stop()
    const before = JSON.parse(first.broker.retained.get(topicOf('A')) as string)
    const [gone] = Object.entries<{ name: string }>(before.components).find(([, { name }]) => name === 'H') ?? ['']
    first.broker.news()
    const shaped = { fields: { h: 'drop' } } as const
    await house(['A'], { broker: first.broker, device: shaped })
    const news = first.broker.news()
    expect(news.map(([topic]) => topic)).toEqual([topicOf('A'), topicOf('A')])
    const [marked, left] = news.map(([, payload]) => JSON.parse(payload).components)
    expect(marked[gone]).toEqual({ platform: 'sensor' })
    expect(Object.keys(marked)).toHaveLength(2)
    expect(left[gone]).toBeUndefined()
    expect(Object.keys(left)).toHaveLength(1)
  })

  test('altogether, when it is turned off: by a reload, or while the gateway was not running', async () => {
    const { broker, homeAssistant, say, look, stop, clock } = await house(['A'])
    say('A', 1)
    await look()
    homeAssistant.apply({ ...SETTINGS, enabled: false })
    const left = () => [...broker.retained.keys()].filter(topic => topic.startsWith('homeassistant'))
    expect(left()).toEqual([])
    broker.send(SETTINGS.birthTopic, 'online')
    await look()
    expect(left()).toEqual([])
    homeAssistant.apply(SETTINGS)
    expect(left().sort()).toEqual([AVAILABILITY, OWN, STATE, topicOf('A')].sort())
    await stop()
    expect(clock.pending).toBe(0)
    const off = await house(['A'], { broker, settings: { enabled: false } })
    expect(left()).toEqual([])
    await off.stop()
    expect(left()).toEqual([])
    expect(off.clock.pending).toBe(0)
  })

  test('from below a prefix comes again below the next', async () => {
    const { broker, homeAssistant, say, look } = await house(['A'])
    say('A', 1)
    await look()
    homeAssistant.apply({ ...SETTINGS, prefix: 'ha/discovery' })
    const topics = [...broker.retained.keys()].filter(topic => topic.includes('/device/'))
    expect(topics.every(topic => topic.startsWith('ha/discovery/device/'))).toBe(true)
    expect(topics).toContain(topicOf('A', 'ha/discovery'))
  })
})

describe('when Home Assistant has started', () => {
  test('everything is announced again, once, after a random time', async () => {
    const { broker, say, look, clock, stop } = await house(['A'])
    say('A', 1)
    await look()
    broker.published.length = 0
    broker.send(SETTINGS.birthTopic, 'online')
    broker.send(SETTINGS.birthTopic, 'online')
    await clock.advance(MAX_ANSWER_DELAY_MS / 2 - 1)
    expect(broker.published).toEqual([])
    await clock.advance(1)
    const topics = broker.published.map(({ topic }) => topic)
    expect(topics.sort()).toEqual([AVAILABILITY, OWN, STATE, topicOf('A')].sort())
    broker.send(SETTINGS.birthTopic, 'online')
    await stop()
    expect(clock.pending).toBe(0)
  })

  test.each<[string, string, boolean]>([
    ['that it ends', 'offline', false],
    ['something retained, which it said once', 'online', true],
  ])('but not when it says %s', async (_, payload, retained) => {
    const { broker, clock } = await house(['A'])
    broker.published.length = 0
    broker.send(SETTINGS.birthTopic, payload, retained)
    await clock.advance(MAX_ANSWER_DELAY_MS)
    expect(broker.published).toEqual([])
  })

  test('it may say so elsewhere', async () => {
    const { broker, homeAssistant, clock } = await house([])
    homeAssistant.apply({ ...SETTINGS, birthTopic: 'ha/up' })
    broker.published.length = 0
    broker.send(SETTINGS.birthTopic, 'online')
    await clock.advance(MAX_ANSWER_DELAY_MS)
    expect(broker.news()).toEqual([])
    broker.send('ha/up', 'online')
    await clock.advance(MAX_ANSWER_DELAY_MS)
    expect(broker.news().map(([topic]) => topic)).toEqual([OWN])
  })
})

test('how the gateway is doing is told when it changes', async () => {
  const { broker, manager, look, health, say } = await house(['A', 'B'])
  const told = () => JSON.parse(broker.retained.get(STATE) as string)
  expect(told()).toEqual({ devices: 2, away: 0, store: 'whole', problem: false, troubles: [], bridges: {} })
  say('A', 1)
  await look()
  broker.published.length = 0
  await look()
  expect(broker.published).toEqual([])
  health.bridges.push({ name: 'cloud', connected: false, waiting: 7 })
  await look()
  expect(told().bridges).toEqual({ cloud: { connected: false, waiting: 7 } })
  health.troubles.push('the disk is nearly full')
  await look()
  expect(told()).toMatchObject({ problem: true, troubles: ['the disk is nearly full'] })
  expect(manager.states()).toHaveLength(2)
})
