/**
 * The way of one thing (a device, or a part of what a device says) to the broker. Readings are shaped and go to its
 * topic, one message or one a field, each topic through a `Channel` of its own. It keeps the thing's
 * availability true (retained): there is its device and, where the owner has said how long it may be silent, it
 * has been heard. It knows how the thing is doing. Nothing that happens here reaches its caller.
 */
import type { Clock, ClockSync, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Moment } from '../kernel/moment.ts'
import { Channel, type Sample } from './channel.ts'
import type { FaultLog } from './faults.ts'
import type {
  DeviceBroker,
  DeviceState,
  Pacing,
  PublishOptions,
  Reading,
  Thing,
  Value,
  ValueDescription,
} from './ports.ts'
import { convert, describe, FieldShapes, fieldLevel, type Item, rounded, SINGLE } from './shape.ts'
import { encode } from './stamp.ts'

/** Readings handed to the broker and not settled: seconds of a busy sensor. Beyond, the broker is stuck and readings are dropped. */
export const MAX_UNSETTLED = 256
/** Topics that the fields of one device may make over time: noise in a field's name must not fill the broker with retained messages. */
export const MAX_FIELD_TOPICS = 256

/** What a retained value is renewed at, as a part of the time after which it expires: it must not expire while its device is there. */
const RENEWALS_A_LIFE = 2

export interface OutletDependencies {
  broker: DeviceBroker
  clock: Clock
  sync: ClockSync
  log: Log
  faults: FaultLog
  /** What the source knows of its values. */
  known: () => Readonly<Record<string, ValueDescription>>
}

export class Outlet {
  readonly thing: Thing
  readonly #deps: OutletDependencies
  readonly #about: { kind: string; partOf?: string | undefined }
  readonly #shapes: FieldShapes
  readonly #channels = new Map<string, Channel>()
  /** Names under which values were published. */
  readonly #seen = new Set<string>()
  /** By the same names: what was read last. */
  readonly #latest = new Map<string, { value: Value; at: number }>()
  readonly #numbers = new Map<string, number>()
  readonly #counters = { readings: 0, dropped: 0, faults: 0, commands: 0 }
  #lastFault: DeviceState['lastFault']
  #since: Moment
  #unsettled = 0
  /** Whether the source is there: undefined until it has said so or has started. */
  #up: boolean | undefined
  /** Why it is not. */
  #reason: string | undefined
  #isStale = false
  #heardAt = 0
  /** Wall time of the last reading. */
  #readAt: number | undefined
  #watch: Timer | undefined
  #announced: boolean | undefined
  #isAnnouncing = false
  #announcing: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(options: { thing: Thing; about: { kind: string; partOf?: string | undefined } } & OutletDependencies) {
    const { thing, about, ...deps } = options
    this.thing = thing
    this.#about = about
    this.#deps = deps
    this.#shapes = new FieldShapes(thing)
    this.#since = new Moment(deps.clock)
  }

  /** Publishes what the reading says; one that is for others only shows that the thing is there. */
  reading(reading: Reading, isForOthers = false): void {
    this.#counters.readings++
    this.#readAt = this.#deps.clock.wall()
    this.#hear()
    if (isForOthers) return
    try {
      const { clock, sync } = this.#deps
      const time = reading.at ?? (sync.isSynced() ? clock.wall() : undefined)
      const items = this.#itemsOf(reading)
      this.#remember(items, reading.at ?? clock.wall())
      this.#offer(items, time)
    } catch (error) {
      this.fault('reading', reasonOf(error))
    }
  }

  /** The source came or went. A new reason for the same absence is for the log only. */
  available(up: boolean, reason = 'no reason given'): void {
    if (this.#isStopped || (this.#up === up && (up || reason === this.#reason))) return
    if (this.#up !== up) this.#since = new Moment(this.#deps.clock)
    this.#up = up
    this.#reason = reason
    this.#isStale = false
    this.#heardAt = this.#deps.clock.monotonic()
    // What befalls a device is said once, not for each of its parts.
    this.#tell(up, reason, this.#about.partOf === undefined)
  }

  /** Says that the thing is offline if its source has not said anything yet, so that an old `online` does not stand. */
  giveUpWaiting(): void {
    if (this.#up === undefined) this.available(false, 'it is still starting')
  }

  /** What has come goes out, and `offline` is left behind. Resolves when that is settled. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#watch?.cancel()
    for (const channel of this.#channels.values()) channel.stop()
    this.#up = false
    await this.#announce()
  }

  command(): void {
    this.#counters.commands++
  }

  /** `kind` is one of few, see `FaultLog`; `verb` joins the name and the reason into a sentence for the log. False when it was only counted. */
  fault(kind: string, reason: string, verb = ':'): boolean {
    this.#counters.faults++
    this.#lastFault = { at: this.#deps.clock.wall(), reason }
    const { name } = this.thing
    const isPart = this.#about.partOf !== undefined
    return this.#deps.faults.report(isPart ? `${kind} of ${name}` : kind, `${name}${verb} ${reason}`)
  }

  /** Never rejects; false when the message was not published. */
  async publish(topic: string, payload: string, options: PublishOptions): Promise<boolean> {
    try {
      await this.#deps.broker.publish(topic, Buffer.from(payload), options)
      return true
    } catch (error) {
      this.fault('publish', `a message was not published: ${reasonOf(error)}`)
      return false
    }
  }

  state(): DeviceState {
    const { name, room, topic } = this.thing
    return {
      name,
      room,
      topic,
      ...this.#about,
      state: this.#up === undefined ? 'starting' : !this.#up ? 'offline' : this.#isStale ? 'stale' : 'online',
      since: this.#since.wall,
      lastFault: this.#lastFault,
      counters: { ...this.#counters },
      values: this.#values(),
      seen: [...this.#seen],
      latest: this.#latest,
      numbers: Object.fromEntries(this.#numbers),
      heardAt: this.#readAt,
    }
  }

  /** What there is to publish of a reading, as it is called there. */
  #itemsOf({ value }: Reading): Item[] {
    const { shape, value: wanted } = this.thing
    if (typeof value !== 'object') return [{ name: SINGLE, value: convert(value, shape), shape }]
    if (wanted !== undefined) {
      if (!Object.hasOwn(value, wanted)) return []
      return [{ name: SINGLE, value: convert(value[wanted]!, shape), shape }]
    }
    return Object.entries(value).flatMap(([name, inner]) => {
      const field = this.#shapes.of(name)
      return field === 'drop' ? [] : [{ name: field.name ?? (name || '_'), value: convert(inner, field), shape: field }]
    })
  }

  #remember(items: readonly Item[], at: number): void {
    for (const { name, value, shape } of items) {
      if (this.#latest.size === MAX_FIELD_TOPICS && !this.#latest.has(name)) continue
      this.#latest.set(name, { value: rounded(value, shape), at })
    }
  }

  #offer(items: Item[], time: number | undefined): void {
    const isTogether = this.thing.publish === 'json' || items[0]?.name === SINGLE
    if (isTogether) {
      if (items.length > 0) this.#send(SINGLE, this.thing, { items, time })
      return
    }
    for (const { name, value, shape } of items) {
      this.#send(name, shape, { items: [{ name: SINGLE, value, shape }], time })
    }
  }

  /** `name` is that of a field with a topic of its own, or `SINGLE`. */
  #send(name: string, pacing: Pacing, sample: Sample): void {
    const level = name === SINGLE ? SINGLE : `/${fieldLevel(name)}`
    let channel = this.#channels.get(level)
    if (channel === undefined) {
      if (this.#channels.size === MAX_FIELD_TOPICS) {
        this.#drop('fields', `more than ${MAX_FIELD_TOPICS} different fields; new ones are dropped`)
        return
      }
      channel = this.#channel(name, this.thing.topic + level, pacing)
      this.#channels.set(level, channel)
    }
    for (const item of sample.items) this.#see(name === SINGLE ? item.name : name)
    if (!channel.offer(sample)) this.#drop('fields', 'there are too many different fields in one window')
  }

  #channel(name: string, topic: string, own: Pacing): Channel {
    const { qos, retain, stamp, staleAfter, minInterval, maxInterval, window } = this.thing
    const lives = retain && staleAfter !== undefined
    const longest = own.maxInterval ?? maxInterval
    const pacing = {
      minInterval: own.minInterval ?? minInterval,
      maxInterval: lives ? Math.min(longest ?? Number.POSITIVE_INFINITY, staleAfter / RENEWALS_A_LIFE) : longest,
      window: own.window ?? window,
    }
    let seq = 0
    const publish = ({ items, time }: Sample) => {
      if (this.#unsettled === MAX_UNSETTLED) {
        this.#drop('reading', 'readings are dropped: the broker does not take them')
        return
      }
      for (const item of items) this.#note(name === SINGLE ? item.name : name, item.value)
      const { payload, properties } = encode(items, stamp, { time, seq: ++seq })
      if (lives) properties.messageExpiryInterval = Math.ceil(staleAfter / 1000)
      this.#unsettled++
      void this.publish(topic, payload, { qos, retain, properties }).then(isTaken => {
        this.#unsettled--
        if (!isTaken) this.#counters.dropped++
      })
    }
    return new Channel({ pacing, clock: this.#deps.clock, publish })
  }

  #drop(kind: string, reason: string): void {
    this.#counters.dropped++
    this.fault(kind, reason)
  }

  #see(name: string): void {
    if (this.#seen.size < MAX_FIELD_TOPICS) this.#seen.add(name)
  }

  #note(name: string, value: Value): void {
    if (typeof value === 'string') this.#numbers.delete(name)
    else if (this.#seen.has(name)) this.#numbers.set(name, Number(value))
  }

  #hear(): void {
    this.#heardAt = this.#deps.clock.monotonic()
    if (this.#isStale) this.#turn(false)
    this.#watchSilence()
  }

  #watchSilence(): void {
    const { staleAfter } = this.thing
    if (staleAfter === undefined || this.#watch !== undefined || this.#up !== true || this.#isStopped) return
    const { clock } = this.#deps
    this.#watch = clock.after(Math.max(0, this.#heardAt + staleAfter - clock.monotonic()), () => {
      this.#watch = undefined
      if (this.#up !== true || this.#isStale) return
      if (clock.monotonic() - this.#heardAt < staleAfter) this.#watchSilence()
      else this.#turn(true)
    })
  }

  #turn(isStale: boolean): void {
    this.#isStale = isStale
    this.#since = new Moment(this.#deps.clock)
    this.#tell(!isStale, `nothing was heard of it for ${(this.thing.staleAfter ?? 0) / 1000} s`, true)
  }

  #tell(isThere: boolean, reason: string, inTheLog: boolean): void {
    if (!isThere) {
      if (inTheLog) this.fault('availability', reason, ' is offline:')
      for (const channel of this.#channels.values()) channel.rest()
    } else {
      if (inTheLog) this.#deps.log.info({}, `${this.thing.name} is online`)
      this.#watchSilence()
    }
    void this.#announce()
  }

  /** Publishes the availability until what was published last is what is true. One at a time, so that the last one stays. */
  #announce(): Promise<void> {
    if (!this.#isAnnouncing) this.#announcing = this.#announceAll()
    return this.#announcing
  }

  async #announceAll(): Promise<void> {
    const { availabilityTopic = `${this.thing.topic}/availability`, qos } = this.thing
    this.#isAnnouncing = true
    for (let up = this.#isThere; up !== undefined && up !== this.#announced; up = this.#isThere) {
      this.#announced = up
      if (await this.publish(availabilityTopic, up ? 'online' : 'offline', { qos, retain: true })) continue
      this.#announced = undefined // the next change, or the stop, tries again
      break
    }
    this.#isAnnouncing = false
  }

  get #isThere(): boolean | undefined {
    return this.#up === undefined ? undefined : this.#up && !this.#isStale
  }

  #values(): Record<string, ValueDescription> {
    const { shape, value } = this.thing
    const known = this.#deps.known()
    const values: Record<string, ValueDescription> = Object.fromEntries([...this.#seen].map(name => [name, {}]))
    const single = describe(known[value ?? SINGLE], shape)
    if (value !== undefined || SINGLE in values || Object.keys(single).length > 0) values[SINGLE] = single
    if (value !== undefined) return values
    for (const name of new Set([...Object.keys(known), ...this.#shapes.names])) {
      const field = name === SINGLE ? 'drop' : this.#shapes.of(name)
      if (field !== 'drop') values[field.name ?? name] = describe(known[name], field)
    }
    return values
  }
}
