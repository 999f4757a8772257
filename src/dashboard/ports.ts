/**
 * What the web page needs of the gateway. The composition root gives it (`src/panel.ts`): what the parts know, as they
 * know it; what the page makes of it is the page's business. All times are milliseconds of wall time where nothing else
 * is said.
 */
import type { DeviceState, Thing, Value } from '../devices/ports.ts'
import type { Figures } from '../observe/ports.ts'
import type { BridgeView, ConfigFault, ConfigView, DeadLetterView, Finding, Found } from './api.ts'

/** Has the shape of the configuration's `dashboard`. */
export interface DashboardPlace {
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
}

/** Who may log in. */
export interface Users {
  /** Rejects with a BusyError, which has a `returnCode`, when too many try. */
  mayEnter(userName: string, password: Buffer, address: string | undefined): boolean | Promise<boolean>
}

/** A message as it passes. Its payload may be a view of something larger. */
export interface TopicMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
}

/** A session with or without a connection. Counts are since its connection began. */
export interface ClientFigures {
  readonly id: string
  readonly connected: boolean
  readonly since: number | undefined
  readonly user: string | undefined
  readonly address: string | undefined
  readonly listener: string | undefined
  /** Protocol level. */
  readonly version: 3 | 4 | 5 | undefined
  /** Seconds. */
  readonly keepalive: number | undefined
  readonly clean: boolean | undefined
  readonly subscriptions: readonly { readonly filter: string; readonly qos: 0 | 1 | 2 }[]
  readonly waiting: number
  readonly waitingBytes: number
  /** ms that the oldest has waited. */
  readonly age: number | undefined
  readonly received: number
  readonly sent: number
}

/** A device or a part of one. */
export interface ThingFigures {
  readonly thing: Thing
  readonly state: DeviceState
  /** Where it is: a port, a pin, a file. */
  readonly place: string | undefined
  /** Where it takes commands, and the usual ones. */
  readonly command: { readonly topic: string; readonly values: readonly string[] } | undefined
  readonly lastFrame: { readonly at: number; readonly bytes: Uint8Array } | undefined
  /** ms between two readings, as configured. */
  readonly period: number | undefined
  /** What was published last, by the names of `state.values`. */
  readonly latest: ReadonlyMap<string, { readonly value: Value; readonly at: number }>
}

export interface StoreView {
  readonly kind: 'leveldb' | 'redis'
  readonly state: string
}

/** A running gateway. */
export interface Subject {
  readonly name: string
  readonly version: string
  readonly startedAt: number
  /** Nothing is configured but what is built in. */
  readonly isFirstRun: boolean
  readonly dataDir: string
  isClockSynced(): boolean
  figures(): Figures
  store(): StoreView
  listeners(): readonly { readonly address: string; readonly open: boolean }[]
  clients(): readonly ClientFigures[]
  bridges(): readonly BridgeView[]
  things(): readonly ThingFigures[]
  /** Calls `listener` for everything that is published, `$SYS` too, what is retained first, until the function is called. */
  listen(listener: (message: TopicMessage) => void): () => void
  /** Rejects with a sentence. Resolves when the message is settled. */
  publish(message: TopicMessage): Promise<void>
  /** Takes the retained message of a topic away, and gives what puts it back if nothing newer has come; undefined: there is none. */
  clear(topic: string): Promise<{ readonly size: number; restore(): Promise<boolean> } | undefined>
  /** False: nobody is connected by this name. */
  disconnect(clientId: string): boolean
  /** Ends a session with what waits for it. False: there is none. */
  drop(clientId: string): Promise<boolean>
  pause(bridge: string): Promise<void>
  resume(bridge: string): Promise<void>
  /** How many are sent again. */
  retry(bridge: string): Promise<number>
  /** What the upstream would not take, oldest first. */
  dead(bridge: string): AsyncIterable<DeadLetterView>
  /** Rejects when the device cannot be asked. */
  poll(device: string): Promise<void>
}

/** What the program around the gateway can do, or the machine below it. What is absent cannot be done here. */
export interface Surroundings {
  /** There is no configuration file: what is built in is in force. */
  readonly isBare?: boolean
  /** Takes up the configuration as it is on disk. */
  reload?(): Promise<{ readonly ok: boolean; readonly lines: readonly string[] }>
  config?(): Promise<ConfigView>
  check?(): Promise<readonly ConfigFault[]>
  discover?(): Promise<{
    readonly ports: readonly Found[]
    readonly sensors: readonly Found[]
    readonly chips: readonly Found[]
  }>
  doctor?(): Promise<readonly Finding[]>
  /** Everything there is to keep, as one file. */
  backup?(options: {
    /** Whoever asks may know the passwords in the configuration. */
    readonly withSecrets: boolean
  }): Promise<{ readonly name: string; readonly stream: AsyncIterable<Uint8Array> } | undefined>
  /**
   * Takes what `backup` made, as it comes. Rejects when it cannot be used; else resolves with what has the gateway start
   * anew with it. Without `withSecrets` only the store of it counts.
   */
  restore?(backup: AsyncIterable<Uint8Array>, options: { readonly withSecrets: boolean }): Promise<() => void>
}
