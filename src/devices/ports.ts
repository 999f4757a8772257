/**
 * What `devices/` needs of the world: things that give readings and take commands. Neither side knows
 * MQTT. `device/` implements these for the Raspberry Pi; a program that embeds the gateway may bring its own.
 */

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
  /** What its values are, by name; under the empty name, a single value. Only what the source itself knows. */
  readonly values?: Readonly<Record<string, ValueDescription>> | undefined
}

/** A pin as the owner names it. */
export interface GpioLineSettings {
  /** BCM number of the line, as printed on pinout cards: 0 to 53. */
  readonly pin: number
  readonly direction: 'in' | 'out'
  /** True when a low level means "on". */
  readonly activeLow: boolean
  /** Inputs: time in ms that a level must stand before it counts. */
  readonly debounce: number
  /** Outputs: level to set when opened; undefined keeps the level the pin has. */
  readonly initial: boolean | undefined
}

/** An open pin. */
export interface GpioLine {
  /** Logical level (after `activeLow`). */
  read(): Promise<boolean>
  /** Sets the logical level of an output. */
  write(level: boolean): Promise<void>
  /** Gives the pin back. An output keeps its level, so that a relay does not flap over a restart. */
  close(): Promise<void>
}

/** Access to the board's pins. */
export interface GpioDriver {
  /** Opens a pin. `onChange` is told the logical level after each change of an input. Rejects with a `LarderError` that says what to do. */
  open(settings: GpioLineSettings, onChange: (level: boolean) => void): Promise<GpioLine>
}

/** How numbers are shaped before they are published. */
export interface Shape {
  /** A single number becomes `value * scale + offset`. */
  readonly scale: number
  readonly offset: number
  /** Decimals that every number is rounded to; undefined leaves them as they are. */
  readonly round?: number | undefined
}

/** What `devices/` has to know of a configured device; how its source is opened is the business of `main.ts`. */
export interface Device {
  readonly name: string
  readonly room: string
  /** Readings go here; `/availability`, `/set` and `/error` hang below it. */
  readonly topic: string
  readonly qos: 0 | 1
  /** Whether readings are published as retained messages. */
  readonly retain: boolean
  /** Several named values: one JSON object on the topic, or each on `<topic>/<name>`. */
  readonly publish: 'json' | 'fields'
  readonly shape: Shape
}

/** Something done at the times of a cron expression: exactly one of `poll`, `publish` and `set`. */
export interface Schedule {
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

/** The broker, as far as devices use it. */
export interface DeviceBroker {
  /** Resolves when the message is settled: for QoS 1 durable, or waited for by nobody. */
  publish(topic: string, payload: Buffer, options: { qos: 0 | 1 | 2; retain: boolean }): Promise<void>
  /**
   * Calls `listener` with every message that matches `filter`, retained ones too (`retained` true), until the
   * returned function is called.
   */
  subscribe(filter: string, listener: CommandListener): () => void
}

export type CommandListener = (topic: string, payload: Buffer, retained?: boolean) => void
