/**
 * All devices of the gateway, and the schedules that act on them. One device that fails, hangs or talks
 * nonsense never disturbs another: each has its own link (`link.ts`), and none can make `start` or `stop` fail or wait for long.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Clock, ClockSync } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { FaultLog } from './faults.ts'
import { DeviceLink } from './link.ts'
import type { Device, DeviceBroker, DeviceState, Schedule, Source } from './ports.ts'
import { DeviceReport } from './report.ts'
import { Schedules } from './schedules.ts'
import { RememberedSync } from './stamp.ts'

/** Time in ms that the start of the gateway waits for slow devices; they go on starting behind it. */
const START_DEADLINE_MS = 2_000

export class DeviceManager<D extends Device = Device> implements Part {
  readonly name = 'devices'
  #devices: readonly D[]
  #scheduled: readonly Schedule[]
  readonly #openSource: (device: D) => Source
  readonly #broker: DeviceBroker
  readonly #log: Log
  readonly #clock: Clock
  readonly #sync: ClockSync
  readonly #random: () => number
  readonly #faults: FaultLog
  readonly #report: DeviceReport
  #schedules: Schedules
  #links: DeviceLink[] = []

  /** `openSource` chooses the driver of a device; when it throws, that device is offline. */
  constructor(options: {
    devices: readonly D[]
    schedules: readonly Schedule[]
    openSource: (device: D) => Source
    broker: DeviceBroker
    log: Log
    clock: Clock
    /** Whether the wall clock can be believed; absent: always. */
    sync?: ClockSync
    /** From 0 to 1, for the jitter of schedules. */
    random?: () => number
  }) {
    this.#devices = options.devices
    this.#openSource = options.openSource
    this.#broker = options.broker
    this.#log = options.log
    this.#clock = options.clock
    this.#sync = new RememberedSync({ sync: options.sync ?? { isSynced: () => true }, clock: options.clock })
    this.#random = options.random ?? Math.random
    this.#faults = new FaultLog({ log: options.log, clock: options.clock })
    this.#report = new DeviceReport({ broker: options.broker, clock: options.clock, states: () => this.states() })
    this.#scheduled = options.schedules
    this.#schedules = this.#planned(options.schedules)
  }

  /** Resolves when every device has started, failed to, or taken too long; rejects only when aborted or a schedule is wrong. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#soon(signal, Promise.all(this.#devices.map(device => this.add(device, this.#open(device)))))
    for (const link of this.#links) link.giveUpWaiting()
    try {
      signal.throwIfAborted()
      await this.#schedules.start(signal)
      this.#report.start()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Stops schedules and sources, and leaves every device `offline`. */
  async stop(): Promise<void> {
    this.#schedules.stop()
    await Promise.all(this.#links.splice(0).map(link => link.stop()))
    this.#report.stop()
    this.#faults.stop()
  }

  /** How every device is doing, each followed by its parts. */
  states(): DeviceState[] {
    return this.#links.flatMap(link => link.states())
  }

  /** Every device with how it is doing, and behind that its parts, in their order. */
  inventory(): { device: Device; states: readonly DeviceState[]; lastFrame: DeviceLink['lastFrame'] }[] {
    return this.#links.map(link => ({ device: link.device, states: link.states(), lastFrame: link.lastFrame }))
  }

  /** Reads a device now, by its name or `<room>/<name>`. Rejects when there is none, or it cannot be asked or fails. */
  async poll(name: string): Promise<void> {
    await this.#link(name).poll()
  }

  /**
   * Takes up another configuration: devices that are as they were go on, the others are stopped or started; so are the
   * schedules. Devices that the caller added stay. Rejects only when a schedule is wrong.
   */
  async apply(devices: readonly D[], schedules: readonly Schedule[], signal: AbortSignal): Promise<void> {
    const isSame = (device: Device) => devices.some(wanted => isDeepStrictEqual(wanted, device))
    const gone = this.#links.filter(({ device }) => this.#devices.includes(device as D) && !isSame(device))
    this.#links = this.#links.filter(link => !gone.includes(link))
    await Promise.all(gone.map(link => link.stop()))
    // The objects that run are kept: they are told apart from those that the caller added.
    this.#devices = devices.map(wanted => this.#devices.find(device => isDeepStrictEqual(device, wanted)) ?? wanted)
    const fresh = this.#devices.filter(device => !this.#links.some(link => link.device === device))
    await this.#soon(signal, Promise.all(fresh.map(device => this.add(device, this.#open(device)))))
    for (const link of this.#links) link.giveUpWaiting()
    this.#report.update()
    if (isDeepStrictEqual(schedules, this.#scheduled)) return
    this.#schedules.stop()
    this.#scheduled = schedules
    this.#schedules = this.#planned(schedules)
    await this.#schedules.start(signal)
  }

  #planned(schedules: readonly Schedule[]): Schedules {
    return new Schedules({
      schedules,
      clock: this.#clock,
      sync: this.#sync,
      random: this.#random,
      run: schedule => this.#run(schedule),
      onSkipped: (schedule, why) => this.#fault(schedule, why),
    })
  }

  /** Adds a device with a source of the caller's own. Resolves when it has started or is known to be offline. */
  async add(device: Device, source: Source): Promise<void> {
    const deps = { broker: this.#broker, log: this.#log, clock: this.#clock, sync: this.#sync }
    const link = new DeviceLink({ device, source, ...deps })
    this.#links.push(link)
    await link.start()
  }

  /** A source that cannot even be made is one that cannot be started. */
  #open(device: D): Source {
    try {
      return this.#openSource(device)
    } catch (error) {
      return { start: () => Promise.reject(error), stop: () => Promise.resolve() }
    }
  }

  /** Resolves with `work`, at the deadline or at an abort, whichever is first. */
  async #soon(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
    await new Promise<void>(resolve => {
      const done = () => {
        timer.cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = this.#clock.after(START_DEADLINE_MS, done)
      signal.addEventListener('abort', done)
      void work.finally(done)
    })
  }

  async #run(schedule: Schedule): Promise<void> {
    try {
      const { poll, publish, set } = schedule
      if (poll !== undefined) await this.#link(poll).poll()
      if (set !== undefined) await this.#link(set.device).command(String(set.value))
      if (publish !== undefined) {
        const { topic, payload, qos = 0, retain = false } = publish
        await this.#broker.publish(topic, Buffer.from(String(payload)), { qos, retain })
      }
    } catch (error) {
      this.#fault(schedule, `failed: ${reasonOf(error)}`)
    }
  }

  /** A device by its name, or by `<room>/<name>` where a name is in several rooms. */
  #link(name: string): DeviceLink {
    const link = this.#links.find(({ device }) => device.name === name || `${device.room}/${device.name}` === name)
    if (link === undefined) throw new Error(`there is no device called ${JSON.stringify(name)}`)
    return link
  }

  #fault(schedule: Schedule, what: string): void {
    const name = schedule.name ?? schedule.cron
    this.#faults.report(`schedule ${name}`, `schedule ${name} ${what}`)
  }
}
