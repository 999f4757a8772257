/**
 * The composition root: builds the gateway's parts from a configuration, and starts and stops them in
 * order. The only file that knows everybody.
 */
import { isDeepStrictEqual } from 'node:util'
import { openSource } from '../device/open-source.ts'
import { PortClaims } from '../device/serial/claims.ts'
import { ReadGate } from '../device/sysfs/read-gate.ts'
import type { EnhancedAuthentication } from './access/ports.ts'
import type { DeadLetter } from './bridge/dead-letters.ts'
import { Fleet, type NamedState, spoolsOf } from './bridge/fleet.ts'
import type { Hooks } from './broker/aedes.ts'
import { Hub } from './broker/hub.ts'
import { LocalAccess } from './broker/local.ts'
import type { Config, DeviceConfig } from './config/schema.ts'
import type { Surroundings } from './dashboard/ports.ts'
import type { GatewayHealth } from './devices/home-assistant/announcement.ts'
import type { Role } from './devices/home-assistant/component.ts'
import { HomeAssistant } from './devices/home-assistant/publisher.ts'
import { DeviceManager } from './devices/manager.ts'
import type { Device, DeviceState, GpioDriver, Source } from './devices/ports.ts'
import { Schedules } from './devices/schedules.ts'
import { discovered } from './discovered.ts'
import { Doors } from './doors.ts'
import { bridgeCertificates, gather } from './figures.ts'
import { type Clock, type ClockSync, systemClock } from './kernel/clock.ts'
import { SystemClockSync } from './kernel/clock-sync.ts'
import { reasonOf } from './kernel/errors.ts'
import { Lifecycle, type Part } from './kernel/lifecycle.ts'
import { createLog, type Log, type OwnLog } from './kernel/log.ts'
import { Moment } from './kernel/moment.ts'
import { Gate } from './listen/gate.ts'
import type { Properties } from './mqtt/properties.ts'
import { Observatory } from './observe/observatory.ts'
import { Panel } from './panel.ts'
import { queueLimitsOf, Storage } from './storage.ts'
import { LevelPersistence } from './store/persistence.ts'
import type { QueueLimits } from './store/quota.ts'
import type { StoreTools } from './store/tools.ts'
import { GatewaySubject } from './subject.ts'

export { discover } from '../device/discovery.ts'
export { busiestClients } from './clients.ts'
export { examineGateway } from './examination.ts'
export { explain } from './explaining.ts'
export { checkArchive, importStore } from './store/importing.ts'
export { openTools } from './store/tools.ts'
export { verifyStore } from './store/verify.ts'

/** What a gateway can be given instead of what it would make itself. */
export interface GatewayDependencies {
  log?: Log
  /** Of the program, to be told with its figures. */
  version?: string
  clock?: Clock
  /** Whether that clock's wall time can be believed. */
  clockSync?: ClockSync
  /** Aedes' hooks: who may connect, publish, subscribe. */
  hooks?: Partial<Hooks>
  /** MQTT 5 enhanced authentication. */
  enhancedAuthentication?: EnhancedAuthentication
  /** Where the kernel shows what is plugged in, in the place of /sys and /dev. */
  machine?: { sysfs: string; dev: string }
  /** Used for every pin instead of the board's own. */
  gpio?: GpioDriver
  /** What the program around the gateway does for its web page. Without it there is a page only where one is configured. */
  surroundings?: Surroundings
}

export interface PublishOptions {
  qos?: 0 | 1 | 2
  retain?: boolean
  /** MQTT 5: content type, response topic, correlation data, user properties, message expiry interval, … */
  properties?: Properties
}

/** A device whose source the embedding program brings. */
export interface AddedDevice extends Partial<Omit<Device, 'name' | 'room'>> {
  name: string
  room: string
}

/** Settings that count from the next start only. */
const FIXED = ['name', 'dataDir', 'store', 'log'] as const

/** In the morning, when somebody may read it. */
const CERTIFICATE_CHECK = { name: 'certificates', cron: '0 8 * * *', poll: 'certificates' }

export class Gateway {
  /** The broker: aedes, with its hooks and events. */
  readonly hub: Hub
  #config: Config
  /** One object for as long as the gateway is there: the store looks at it, and a reload changes what it says. */
  readonly #queueLimits: QueueLimits
  readonly #storage: Storage
  readonly #local: LocalAccess
  readonly #devices: DeviceManager<DeviceConfig>
  readonly #homeAssistant: HomeAssistant
  readonly #doors: Doors
  /** Looks at the certificates once a day. */
  readonly #daily: Schedules
  readonly #bridges: Fleet
  readonly #observatory: Observatory
  readonly #panel: Panel
  readonly #lifecycle: Lifecycle

  constructor(config: Config, deps: GatewayDependencies = {}) {
    const clock = deps.clock ?? systemClock
    const log: Log & Partial<OwnLog> = deps.log ?? createLog(config.log)
    const { limits, listeners } = config
    this.#config = config
    this.#queueLimits = queueLimitsOf(limits)
    const live = { ...limits }
    const sync = deps.clockSync ?? clockSyncOf(config.store.trustClock, clock)
    this.#storage = new Storage({ config, limits: this.#queueLimits, clock, log, sync })
    const { persistence, mq } = this.#storage
    this.hub = new Hub({
      persistence,
      ...(mq === undefined ? {} : { mq }),
      limits: live,
      clock,
      log,
      hooks: deps.hooks ?? {},
      enhancedAuthentication: deps.enhancedAuthentication,
    })
    this.#storage.watch(this.hub)
    this.hub.on('error', error => log.error({ reason: reasonOf(error) }, 'the broker met a fault'))
    this.#local = new LocalAccess({ hub: this.hub })
    // The object that a reload changes.
    const gate = new Gate({ limits: live, clock, log })
    const started = new Moment(clock)
    this.#doors = new Doors({ hub: this.hub, clock, log, gate })
    this.#daily = new Schedules({
      schedules: listeners.some(({ tls }) => tls !== undefined) ? [CERTIFICATE_CHECK] : [],
      clock,
      run: async () => this.#doors.tellExpiry(),
      onSkipped: () => {},
    })
    this.#bridges = new Fleet({ gateway: config.name, broker: this.#local, clock, log, random: Math.random })
    const reads = new ReadGate()
    const ports = new PortClaims()
    this.#devices = new DeviceManager<DeviceConfig>({
      devices: config.devices,
      schedules: config.schedules,
      openSource: device =>
        openSource(device, {
          clock,
          reads,
          ports,
          gpio: deps.gpio,
          machine: deps.machine,
          log,
          dataDir: config.dataDir,
        }),
      broker: this.#local,
      log,
      clock,
      sync,
      random: Math.random,
    })
    this.#homeAssistant = new HomeAssistant({
      settings: config.homeAssistant,
      gateway: { name: config.name, version: deps.version },
      devices: () => this.#devices.inventory(),
      roleOf,
      health: () => this.#health(),
      broker: this.#local,
      clock,
      log,
      random: Math.random,
    })
    this.#observatory = new Observatory({
      settings: config.metrics,
      clock,
      log,
      gather: () =>
        gather({
          version: deps.version ?? 'embedded',
          startedAt: started.wall,
          uptime: started.age,
          hub: this.hub,
          persistence,
          gate,
          bridges: this.#bridges.parts,
          devices: this.#devices.states(),
          closed: this.#doors.closed(),
          certificates: this.#doors.certificates(),
        }),
      doorkeeper: file => this.#doors.doorkeeper(file),
      certificateFiles: () => bridgeCertificates(this.#config.bridges),
      logTopics: log.topics,
      publish: (topic, payload, retain = true) => this.hub.publish({ topic, payload, retain }),
    })
    this.#panel = new Panel({
      settings: config.dashboard,
      surroundings: deps.surroundings,
      of: new GatewaySubject({
        config: () => this.#config,
        version: deps.version ?? 'embedded',
        hub: this.hub,
        storeState: () => this.#storage.state,
        devices: this.#devices,
        doors: this.#doors,
        bridges: this.#bridges,
        figures: () => this.#observatory.look(),
        clock,
        sync,
        isFirstRun: deps.surroundings?.isBare === true,
      }),
      discover: () => discovered(this.#config.devices, deps.machine),
      doorkeeper: file => this.#doors.doorkeeper(file),
      tail: log.tail,
      clock,
      log,
    })
    this.#lifecycle = new Lifecycle({
      onStopFault: (part, error) => log.error({ part, reason: reasonOf(error) }, 'a part did not stop as it should'),
    })
  }

  /** Resolves when the gateway accepts connections on every listener. When it cannot, rejects and leaves nothing behind. */
  async start(signal: AbortSignal = new AbortController().signal): Promise<void> {
    try {
      for (const part of this.#parts()) await this.#lifecycle.start(part, signal)
    } catch (error) {
      await this.#lifecycle.stop()
      throw error
    }
  }

  /** Says goodbye to everybody and writes what is in memory. */
  async stop(): Promise<void> {
    await this.#lifecycle.stop()
  }

  /** Where the gateway listens, as URLs, with the real ports. */
  addresses(): string[] {
    return this.#doors.addresses()
  }

  /** Publishes a message. Resolves when it is settled: for QoS 1 and 2 durable, or waited for by nobody. */
  publish(topic: string, payload: string | Buffer, options: PublishOptions = {}): Promise<void> {
    const { qos = 0, retain = false, properties = {} } = options
    return this.#local.publish(topic, Buffer.from(payload), { qos, retain, properties })
  }

  /** Calls `listener` for every message that matches `filter`, retained ones first, until the returned function is called. */
  subscribe(filter: string, listener: (topic: string, payload: Buffer, retained?: boolean) => void): () => void {
    return this.#local.subscribe(filter, listener)
  }

  /** How each device and each part of one is doing. */
  deviceStates(): DeviceState[] {
    return this.#devices.states()
  }

  /** How each bridge is doing. */
  bridgeStates(): NamedState[] {
    return this.#bridges.states()
  }

  /** What the upstream of a bridge would not take, oldest first. Throws when there is no such bridge, as do those that follow. */
  deadLetters(bridge: string): AsyncIterable<DeadLetter> {
    return this.#bridges.deadLetters(bridge)
  }

  /** Puts the dead letters of a bridge behind what waits for it; resolves with how many there were. */
  retryDeadLetters(bridge: string): Promise<number> {
    return this.#bridges.retryDeadLetters(bridge)
  }

  /** Disconnects a bridge, until it is resumed or the gateway starts anew; its spool goes on collecting. */
  pauseBridge(bridge: string): Promise<void> {
    return this.#bridges.pause(bridge)
  }

  resumeBridge(bridge: string): Promise<void> {
    return this.#bridges.resume(bridge)
  }

  /** How the gateway is doing, as lines for a person or one line of JSON. Only while it runs. */
  status(form: 'text' | 'json' = 'text'): string[] {
    return this.#observatory.status(form)
  }

  /** The store, for whoever looks at it, copies or compacts it while the gateway runs; undefined when it is on Redis. */
  storeTools(): StoreTools | undefined {
    const { persistence } = this.#storage
    return persistence instanceof LevelPersistence ? persistence.tools : undefined
  }

  /** Adds a device with a source of the caller's own; its readings go to `/Home/<room>/<name>` unless `topic` says otherwise. */
  addSource(device: AddedDevice, source: Source): Promise<void> {
    const { name, room } = device
    const defaults = { qos: 0, retain: true, publish: 'json', shape: { scale: 1, offset: 0 } } as const
    return this.#devices.add({ topic: `/Home/${room}/${name}`, ...defaults, ...device }, source)
  }

  /**
   * In the order of their start. What lets messages in comes last, when everything that waits for messages
   * stands. At the stop: nobody new, devices say that they are offline, sessions end, sockets close, the
   * store last.
   */
  #parts(): Part[] {
    const { bridges, listeners } = this.#config
    return [
      part('access', { start: () => this.#doors.readRules(listeners) }),
      part('store', {
        start: async () => {
          await this.hub.listen()
          this.#storage.tell()
        },
        stop: () => this.#storage.persistence.destroy(),
      }),
      part('listeners', { stop: () => this.#doors.stop() }),
      part('connections', { stop: () => this.hub.shut() }),
      part('spools', { start: () => this.#local.discardSpoolsExcept(spoolsOf(bridges)) }),
      part('bridges', {
        start: signal => this.#bridges.start(bridges, signal),
        stop: () => this.#bridges.stop(),
      }),
      this.#devices,
      this.#homeAssistant,
      part('doors', {
        start: async signal => {
          await this.#doors.open(listeners, signal)
          this.#doors.tellExpiry()
          await this.#daily.start(signal)
        },
        stop: async () => {
          this.#daily.stop()
          this.#doors.stopAccepting()
        },
      }),
      this.#observatory,
      this.#panel,
    ]
  }

  /**
   * Takes up another configuration while everything goes on: what has not changed is not touched. Rejects with a
   * LarderError when a file that it names cannot be used; then nothing has changed. Returns the keys of settings that
   * count from the next start only.
   */
  async reload(config: Config, signal: AbortSignal = new AbortController().signal): Promise<string[]> {
    await using metrics = await this.#observatory.prepare(config.metrics)
    await using panel = await this.#panel.prepare(config.dashboard)
    const doors = await this.#doors.prepare(config.listeners)
    // The last that can be refused: until here nothing has changed.
    await doors.commit(signal)
    const before = this.#config
    this.#config = config
    Object.assign(this.hub.limits, config.limits)
    Object.assign(this.#queueLimits, queueLimitsOf(config.limits))
    await metrics.commit()
    await panel.commit()
    await this.#bridges.apply(config.bridges, signal)
    await this.#local.discardSpoolsExcept(spoolsOf(config.bridges))
    await this.#devices.apply(config.devices, config.schedules, signal)
    this.#homeAssistant.apply(config.homeAssistant)
    return FIXED.filter(key => !isDeepStrictEqual(before[key], config[key]))
  }

  #health(): GatewayHealth {
    const store = this.#storage.state
    const bridges = this.#bridges.parts.map(({ name, status: { connected, waiting } }) => ({
      name: name.replace(/^bridge /, ''),
      connected,
      waiting,
    }))
    return { store, troubles: this.#observatory.look().troubles, bridges }
  }
}

function clockSyncOf(trust: Config['store']['trustClock'], clock: Clock): ClockSync {
  return trust === 'auto' ? new SystemClockSync({ clock }) : { isSynced: () => trust === 'always' }
}

function part(
  name: string,
  { start, stop }: { start?: (signal: AbortSignal) => Promise<void>; stop?: () => Promise<void> },
): Part {
  return { name, start: async signal => start?.(signal), stop: async () => stop?.() }
}

/** What a device is for, as Home Assistant has it. */
function roleOf(device: Device): Role {
  const config = device as DeviceConfig
  if (config.kind !== 'gpio') return 'sensor'
  const { direction, edge, pulse } = config.settings
  if (direction === 'out') return pulse === undefined ? 'output' : 'pulse'
  return direction === 'in' ? (edge === 'both' ? 'input' : 'press') : 'sensor'
}
