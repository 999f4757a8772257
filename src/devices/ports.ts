/**
 * What `devices/` needs of the world: things that give readings and take commands. Neither side knows
 * MQTT. `device/` implements these for the Raspberry Pi; a program that embeds the gateway may bring its own.
 */
import type { Properties } from '../mqtt/properties.ts'

/** One measured or reported value. */
export type Value = number | string | boolean

/** What a source read at one moment: one value, or several by name. */
export interface Reading {
  readonly value: Value | Readonly<Record<string, Value>>
  /** Wall time in ms at which the device itself says it was measured; absent when it says nothing. */
  readonly at?: number | undefined
}

/** What a value is, in the words of Home Assistant: for its discovery and for whoever shows it. */
export interface ValueDescription {
  /** Such as `°C`; absent for text and on/off. */
  readonly unit?: string | undefined
  /** Such as `temperature`, `carbon_dioxide`, `energy`, `door`. */
  readonly deviceClass?: string | undefined
  readonly stateClass?: 'measurement' | 'total' | 'total_increasing' | undefined
}

/** Where a source reports to. */
export interface SourceEvents {
  reading(reading: Reading): void
  /** The device behind the source came or went. `reason` says why, for the log; repeats of the same state are ignored. */
  available(up: boolean, reason?: string): void
  /** Something was wrong with one reading (a line that cannot be parsed); the source goes on. */
  fault(reason: string): void
  /** What came over the wire, before it was understood: for a person who looks for a fault. Only its end is kept. */
  frame?(bytes: Uint8Array): void
}

/** Gives readings. */
export interface Source {
  /** Resolves when it is running. A device that is absent is not an error: it is `available(false)` and is tried again. */
  start(events: SourceEvents, signal: AbortSignal): Promise<void>
  stop(): Promise<void>
  /** Reads now, outside its own rhythm. Absent when the source cannot be asked (a serial line that only talks). */
  poll?(): Promise<void>
  /** Takes a command: the payload of a message on `…/set`. Rejects with a sentence that says what is accepted. Absent when it is no sink. */
  command?(payload: string): Promise<void>
  /** Messages of others that it wants: a display that shows what a sensor says. Rejects with a sentence that says why one was not taken. */
  readonly listens?:
    | readonly { readonly filter: string; write(topic: string, payload: string): Promise<void> }[]
    | undefined
  /** What its values are, by name; under the empty name, a single value. Only what the source itself knows. */
  readonly values?: Readonly<Record<string, ValueDescription>> | undefined
}

/** A pin as the owner names it. */
export interface GpioLineSettings {
  /** The line on its chip; on the header's chip that is the BCM number, as printed on pinout cards. */
  readonly pin: number
  /** The chip's label or its name (`gpiochip2`), for an expander or another board; absent: the Raspberry Pi's header. */
  readonly chip?: string | undefined
  readonly direction: 'in' | 'out'
  /** True when a low level means "on". */
  readonly activeLow: boolean
  /** Inputs: resistor that the chip puts on the line; absent leaves what is there. Not every driver can. */
  readonly pull?: 'up' | 'down' | 'none' | undefined
  /** Inputs: time in ms that a level must stand before it counts. */
  readonly debounce: number
  /** Inputs: the only logical edge that is asked for (a driver may tell both), and its level is not read; absent: both. */
  readonly edges?: 'rising' | 'falling' | undefined
  /** Outputs: level to set when opened; undefined keeps the level the pin has. */
  readonly initial: boolean | undefined
}

/** An open pin. */
export interface GpioLine {
  /** Logical level (after `activeLow`). */
  read(): Promise<boolean>
  /** Sets the logical level of an output. */
  write(level: boolean): Promise<void>
  /** Gives the pin back. An output keeps its level where the driver can, so that a relay does not flap over a restart. */
  close(): Promise<void>
}

/** What a driver tells of an open pin. */
export interface GpioLineEvents {
  /**
   * The logical level after an edge of an input. `at` is when it was, in ms on a clock of the driver's own that never
   * goes back: only differences mean something. Of a pulse that is over before the driver looks, some tell nothing, or
   * twice the same level.
   */
  changed(level: boolean, at: number): void
  /** The pin is lost. It tells no more, and is still to be closed. */
  lost(reason: string): void
}

/** Access to the board's pins. */
export interface GpioDriver {
  /** Opens a pin. Rejects with a `LarderError` that says what to do. */
  open(settings: GpioLineSettings, events: GpioLineEvents): Promise<GpioLine>
}

/** What becomes of one value before it is published. */
export interface Shape extends ValueDescription {
  /** A number becomes `value * scale + offset`. */
  readonly scale: number
  readonly offset: number
  /** Decimals that a number is rounded to; undefined leaves it as it is. */
  readonly round?: number | undefined
  /** Values that are replaced, by their text; what `default` names stands for all others. They are not scaled. */
  readonly map?: Readonly<Record<string, Value>> | undefined
  /** A value is published only when it has moved by more than this since it was published last. */
  readonly deadband?: Deadband | undefined
}

export interface Deadband {
  /** In the unit of the value; of a `relative` one as a part of what was published last (0.05 is 5 %). */
  readonly by: number
  readonly relative: boolean
}

/** When values are published. All times in ms. */
export interface Pacing {
  /** Never more often. The latest value goes out when the time has come. */
  readonly minInterval?: number | undefined
  /** Never more seldom, while the device is there: the latest value is published again. */
  readonly maxInterval?: number | undefined
  /** Values of `every` ms become one. What is no number is taken as it was `last`. */
  readonly window?: { readonly every: number; readonly of: WindowKind } | undefined
}

export type WindowKind = 'average' | 'min' | 'max' | 'median' | 'sum' | 'last'

/** One of several named values. What is absent of deadband, rounding and pacing is as for the whole device. */
export interface FieldShape extends Shape, Pacing {
  /** What it is called when it is published. */
  readonly name?: string | undefined
}

/** A thing with topics of its own: a device, or a part of what a device says. */
export interface Thing extends Pacing {
  readonly name: string
  readonly room: string
  /** Readings go here. */
  readonly topic: string
  /** `<topic>/availability` when absent. */
  readonly availabilityTopic?: string | undefined
  readonly qos: 0 | 1
  /** Whether readings are published as retained messages. */
  readonly retain: boolean
  /** Several named values: one JSON object on the topic, or each on `<topic>/<name>`. */
  readonly publish: 'json' | 'fields'
  /** The one of several named values that is published, by itself. */
  readonly value?: string | undefined
  /** Where a message tells its time and number (`stamp.ts`); nowhere when absent. */
  readonly stamp?: 'none' | 'json' | 'properties' | undefined
  /** ms without a reading after which the thing counts as offline, and after which what is retained of it expires. */
  readonly staleAfter?: number | undefined
  /** For a single value; of several, `round` and `deadband` are the default. */
  readonly shape: Shape
  /** For named values, by the names that the source gives; `*` stands for all that are not named here. */
  readonly fields?: Readonly<Record<string, FieldShape | 'drop'>> | undefined
}

/** What `devices/` has to know of a configured device; how its source is opened is the business of `main.ts`. */
export interface Device extends Thing {
  /** What it is, for people. */
  readonly kind?: string | undefined
  /** Commands come here; `<topic>/set` when absent. */
  readonly commandTopic?: string | undefined
  /** Refusals go here; `<topic>/error` when absent. */
  readonly errorTopic?: string | undefined
  /** Each gets the readings that it matches. */
  readonly parts?: readonly DevicePart[] | undefined
  /** What becomes of readings that no part matches: they go to the device's own topic when absent. */
  readonly others?: 'publish' | 'drop' | undefined
}

/** A thing that is heard through a device which hears several, such as a radio receiver. */
export interface DevicePart extends Thing {
  /** A reading is the part's when each of these named values is, as text, one of those given. */
  readonly when: Readonly<Record<string, readonly string[]>>
}

/** How a device or a part of one is doing. */
export interface DeviceState {
  readonly name: string
  readonly room: string
  readonly topic: string
  readonly kind: string
  /** Of a part: the name of its device. */
  readonly partOf?: string | undefined
  /** `stale` is offline because nothing was heard for `staleAfter`. */
  readonly state: 'starting' | 'online' | 'offline' | 'stale'
  /** Wall time in ms of the last change of state. */
  readonly since: number
  readonly lastFault?: { readonly at: number; readonly reason: string } | undefined
  readonly counters: DeviceCounters
  /** What its values are, by the names they are published under; under the empty name, a single value. */
  readonly values: Readonly<Record<string, ValueDescription>>
  /** The names under which values were published; a source may know of more than it ever gives. */
  readonly seen: readonly string[]
  /** What was read last, by the same names, and when, in wall time. */
  readonly latest: ReadonlyMap<string, { readonly value: Value; readonly at: number }>
  /** What was published last, by the same names: numbers, and 1 and 0 for on and off. */
  readonly numbers: Readonly<Record<string, number>>
  /** Wall time in ms of the last reading. */
  readonly heardAt?: number | undefined
}

/** Since the device was taken up. */
export interface DeviceCounters {
  readonly readings: number
  /** Messages that the broker did not take, and values beyond a bound. */
  readonly dropped: number
  readonly faults: number
  readonly commands: number
}

/** Something done at the times of a cron expression: exactly one of `poll`, `publish` and `set`. */
export interface Schedule {
  /** ms; each run comes later by a random time up to this, so that not all machines do it at once. */
  readonly jitter?: number | undefined
  /** Does nothing while the wall clock cannot be believed. */
  readonly whenSynced?: boolean | undefined
  /** What becomes of times that passed while the machine slept or the process stood still; `skip` when absent. */
  readonly missed?: 'once' | 'skip' | undefined
  /** For the log; its place in the list when absent. */
  readonly name?: string | undefined
  /** Five fields, or six with seconds first. */
  readonly cron: string
  /** IANA name; the machine's own when absent. */
  readonly timezone?: string | undefined
  /** Reads the device of this name now. */
  readonly poll?: string | undefined
  readonly publish?:
    | {
        readonly topic: string
        readonly payload: Value
        readonly qos?: 0 | 1 | 2 | undefined
        readonly retain?: boolean | undefined
      }
    | undefined
  /** Gives a device a command, as if `value` had come on its `/set` topic. */
  readonly set?: { readonly device: string; readonly value: Value } | undefined
}

export interface PublishOptions {
  qos: 0 | 1 | 2
  retain: boolean
  /** MQTT 5: user properties, message expiry interval. */
  properties?: Properties
}

/** The broker, as far as devices use it. */
export interface DeviceBroker {
  /** Resolves when the message is settled: for QoS 1 durable, or waited for by nobody. */
  publish(topic: string, payload: Buffer, options: PublishOptions): Promise<void>
  /**
   * Calls `listener` with every message that matches `filter`, retained ones too (`retained` true), until the
   * returned function is called.
   */
  subscribe(filter: string, listener: CommandListener): () => void
}

export type CommandListener = (topic: string, payload: Buffer, retained?: boolean) => void
