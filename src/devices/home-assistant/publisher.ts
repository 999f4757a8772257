/**
 * Keeps Home Assistant's picture of the house true: one retained announcement for each thing (MQTT discovery of whole
 * devices), published when it changes and taken back when the thing is gone. What was announced before a restart is found
 * again among the retained messages, so nothing is kept besides. Whoever looks every few seconds sees new values early enough.
 *
 * When Home Assistant says that it has started, the announcements are published again. States and availability are not: they
 * are retained, come by themselves, and would look fresh if they were published again.
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import { reasonOf } from '../../kernel/errors.ts'
import type { Part } from '../../kernel/lifecycle.ts'
import type { Log } from '../../kernel/log.ts'
import { FaultLog } from '../faults.ts'
import type { Device, DeviceBroker, DeviceState } from '../ports.ts'
import {
  type Announcement,
  announcementsOf,
  type GatewayHealth,
  type House,
  healthMessage,
  type Inhabitant,
  ORIGIN,
  ownTopics,
} from './announcement.ts'
import type { Role } from './component.ts'

/** ms between two looks for what has changed. */
export const LOOK_INTERVAL_MS = 5_000
/** ms after Home Assistant's start within which it is answered, at random: it asks everybody at once. */
export const MAX_ANSWER_DELAY_MS = 5_000
/** Bytes of an announcement that is read again: twice what `MAX_ENTITIES` of the longest names make. */
const MAX_ANNOUNCEMENT_BYTES = 256 * 1024

export interface HomeAssistantSettings {
  readonly enabled: boolean
  readonly prefix: string
  readonly birthTopic: string
}

export class HomeAssistant implements Part {
  readonly name = 'home assistant'
  #settings: HomeAssistantSettings
  readonly #gateway: { name: string; version?: string | undefined }
  readonly #devices: () => readonly { device: Device; states: readonly DeviceState[] }[]
  readonly #roleOf: (device: Device) => Role
  readonly #health: () => GatewayHealth
  readonly #broker: DeviceBroker
  readonly #clock: Clock
  readonly #log: Log
  readonly #faults: FaultLog
  readonly #random: () => number
  /** By topic, what stands there. */
  readonly #announced = new Map<string, { announcement: Announcement; text: string }>()
  /** What there was to announce at the last look, in short; undefined when it has to be looked at closely. */
  #looked: string | undefined
  /** What was said last of how the gateway is doing. */
  #told = ''
  #unsubscribe: (() => void) | undefined
  #look: Timer | undefined
  #answer: Timer | undefined

  /** `devices` gives each with its own state and behind it those of its parts. `random` gives numbers from 0 to 1. */
  constructor(options: {
    settings: HomeAssistantSettings
    gateway: { name: string; version?: string | undefined }
    devices: () => readonly { device: Device; states: readonly DeviceState[] }[]
    roleOf: (device: Device) => Role
    health: () => GatewayHealth
    broker: DeviceBroker
    clock: Clock
    log: Log
    random: () => number
  }) {
    this.#settings = options.settings
    this.#gateway = options.gateway
    this.#devices = options.devices
    this.#roleOf = options.roleOf
    this.#health = options.health
    this.#broker = options.broker
    this.#clock = options.clock
    this.#log = options.log
    this.#faults = new FaultLog(options)
    this.#random = options.random
  }

  /** Announces what there is, or takes back what was announced by an earlier configuration. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#begin()
  }

  /** Leaves `offline` behind; the announcements stay. */
  async stop(): Promise<void> {
    this.#end()
    if (this.#settings.enabled) await this.#publish(ownTopics(this.#house).availability, 'offline', 0)
    this.#faults.stop()
  }

  /** Takes up other settings, and whatever has become of the devices. */
  apply(settings: HomeAssistantSettings): void {
    const before = this.#settings
    this.#settings = settings
    this.#looked = undefined
    if (settings.enabled === before.enabled && settings.prefix === before.prefix) {
      if (settings.birthTopic !== before.birthTopic && settings.enabled) this.#listen()
      this.update()
      return
    }
    this.#end()
    if (before.enabled) this.#forget({ ...this.#house, prefix: before.prefix })
    this.#begin()
  }

  /** Publishes what has changed. Most often nothing has: then it costs next to nothing. */
  update(): void {
    if (!this.#settings.enabled) return
    const house = this.#house
    const inhabitants = this.#inhabitants()
    const health = this.#health()
    const looked = `${inhabitants.map(({ state }) => state.seen.length)} ${health.bridges.map(({ name }) => name)}`
    if (looked !== this.#looked) {
      this.#looked = looked
      const wanted = announcementsOf(house, inhabitants, health, topic => this.#announced.get(topic)?.announcement)
      for (const topic of [...this.#announced.keys()]) if (!wanted.has(topic)) this.#retract(topic)
      for (const [topic, announcement] of wanted) this.#announce(topic, announcement)
    }
    const told = healthMessage(inhabitants, health)
    if (told === this.#told) return
    this.#told = told
    void this.#publish(ownTopics(house).state, told, 0)
  }

  get #house(): House {
    return { gateway: this.#gateway.name, version: this.#gateway.version, prefix: this.#settings.prefix }
  }

  #begin(): void {
    const house = this.#house
    this.#find(house)
    if (!this.#settings.enabled) {
      if (this.#announced.size > 0) this.#forget(house)
      return
    }
    void this.#publish(ownTopics(house).availability, 'online', 0)
    this.#listen()
    this.update()
    this.#look = this.#clock.every(LOOK_INTERVAL_MS, () => this.update())
  }

  #end(): void {
    this.#look?.cancel()
    this.#answer?.cancel()
    this.#answer = undefined
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }

  /** Takes everything back. */
  #forget(house: House): void {
    for (const topic of [...this.#announced.keys()]) this.#retract(topic)
    for (const topic of Object.values(ownTopics(house))) void this.#publish(topic, '', 0)
    this.#told = ''
  }

  #listen(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = this.#broker.subscribe(this.#settings.birthTopic, (_, payload, retained) => {
      if (retained === true || this.#answer !== undefined || payload.toString() !== 'online') return
      this.#answer = this.#clock.after(this.#random() * MAX_ANSWER_DELAY_MS, () => this.#announceAgain())
    })
  }

  #announceAgain(): void {
    this.#answer = undefined
    this.#log.info({ announced: this.#announced.size }, 'Home Assistant has started: the devices are announced again')
    for (const [topic, { text }] of this.#announced) void this.#publish(topic, text, 1)
    const { availability, state } = ownTopics(this.#house)
    void this.#publish(availability, 'online', 0)
    void this.#publish(state, this.#told, 0)
    this.update()
  }

  /** What this gateway announced before it was started. */
  #find(house: House): void {
    const own = ownTopics(house).availability
    const stop = this.#broker.subscribe(`${house.prefix}/device/+/config`, (topic, payload, retained) => {
      if (retained !== true || payload.length > MAX_ANNOUNCEMENT_BYTES) return
      const announcement = readAnnouncement(payload)
      const isOurs = announcement?.origin?.name === ORIGIN && announcement.availability?.[0]?.topic === own
      if (isOurs) this.#announced.set(topic, { announcement, text: payload.toString() })
    })
    stop()
  }

  #announce(topic: string, announcement: Announcement): void {
    const before = this.#announced.get(topic)
    const text = JSON.stringify(announcement)
    if (text === before?.text) return
    this.#announced.set(topic, { announcement, text })
    // An entity goes when nothing but its platform is said; one that is only left out stays until Home Assistant starts again.
    const gone = Object.entries(before?.announcement.components ?? {}).filter(
      ([key, { platform }]) => announcement.components[key]?.platform !== platform,
    )
    if (gone.length > 0) {
      const markers = gone.map(([key, { platform }]) => [key, { platform }])
      const components = { ...announcement.components, ...Object.fromEntries(markers) }
      void this.#publish(topic, JSON.stringify({ ...announcement, components }), 1)
    }
    void this.#publish(topic, text, 1).then(isPublished => {
      // It is tried again at the next look.
      if (isPublished || this.#announced.get(topic)?.text !== text) return
      this.#announced.delete(topic)
      this.#looked = undefined
    })
  }

  #retract(topic: string): void {
    this.#announced.delete(topic)
    void this.#publish(topic, '', 1)
  }

  /** Never rejects; false when the broker did not take it. */
  async #publish(topic: string, payload: string, qos: 0 | 1): Promise<boolean> {
    try {
      await this.#broker.publish(topic, Buffer.from(payload), { qos, retain: true })
      return true
    } catch (error) {
      this.#faults.report('home assistant', `${topic} was not published: ${reasonOf(error)}`)
      return false
    }
  }

  #inhabitants(): Inhabitant[] {
    return this.#devices().flatMap(({ device, states }) => {
      const { parts = [], topic, commandTopic = `${topic}/set` } = device
      const about = { role: this.#roleOf(device), commandTopic, hasParts: parts.length > 0 }
      const isGateway = device.kind === 'system'
      const own = states[0] === undefined ? [] : [{ thing: device, ...about, isGateway, state: states[0] }]
      return [
        ...own,
        ...parts.flatMap((part, index): Inhabitant[] => {
          const state = states[index + 1]
          const within = { role: 'sensor', partOf: device, hasParts: false, isGateway: false } as const
          return state === undefined ? [] : [{ thing: part, ...within, state }]
        }),
      ]
    })
  }
}

/** An announcement as far as it can be read; undefined for what is none. */
function readAnnouncement(payload: Buffer): Announcement | undefined {
  try {
    const read: Announcement | null = JSON.parse(payload.toString())
    const { components } = read ?? {}
    const isOne = typeof components === 'object' && components !== null && typeof read?.origin === 'object'
    // Whoever may write there may write anything.
    return isOne && Object.values(components).every(each => typeof each === 'object' && each !== null)
      ? read!
      : undefined
  } catch {
    return undefined
  }
}
