/** What the doctor finds, and what it needs of others to find it. */
import type { Duplex } from 'node:stream'
import type { BridgeConfig, Config } from '../config/schema.ts'
import type { Clock, ClockSync } from '../kernel/clock.ts'

export const CHECKS = ['config', 'listeners', 'power', 'disk', 'clock', 'serial', 'gpio', 'cloud'] as const
export type CheckName = (typeof CHECKS)[number]

/** `skip`: it cannot be told on this machine, or not now. It counts as well. */
export type Grade = 'ok' | 'warn' | 'fail' | 'skip'

export interface Finding {
  readonly check: CheckName
  /** What of it: a listener, a port, a bridge. */
  readonly subject?: string
  readonly grade: Grade
  /** What is so, as a sentence without a full stop. */
  readonly cause: string
  /** What to do about it. */
  readonly mend?: string
}

/** What a check says; whose it is, is added. */
export type Told = Omit<Finding, 'check'>

/** How the gateway that runs on the same data says that it is doing. */
export interface Running {
  readonly troubles: readonly string[]
  readonly bridges: readonly {
    readonly name: string
    readonly connected: boolean
    readonly waiting: number
    /** Milliseconds. */
    readonly oldest?: number | undefined
  }[]
  readonly devices: readonly { readonly room: string; readonly name: string; readonly state: string }[]
}

export interface SerialPort {
  /** Such as `/dev/ttyUSB0`. */
  readonly path: string
  readonly byId?: string
}

export interface Chip {
  readonly label: string
  /** True when that is what the kernel calls it. */
  isNamed(name: string): boolean
}

/** Where the kernel shows what there is; the machine's own but in tests. */
export interface Roots {
  readonly sys: string
  readonly proc: string
  readonly dev: string
}

/** What is examined. */
export interface Subject {
  /** Undefined when it has faults. */
  readonly config: Config | undefined
  /** Each with file, line and column, as `larder check` says it. */
  readonly faults: readonly string[]
  /** Where the configuration is from. */
  readonly file: string
  /** Undefined when no gateway answers on this data. */
  readonly running: Running | undefined
  /** For listeners that let nobody in without a user name. */
  readonly login?: { readonly username: string; readonly password: string } | undefined
}

export interface DoctorDependencies {
  readonly clock: Clock
  readonly sync: ClockSync
  readonly roots: Roots
  /** Addresses of this machine that others may reach it by. */
  addresses(): readonly string[]
  serialPorts(): Promise<readonly SerialPort[]>
  /** The paths of the ports of adapters that match. */
  findUsb(match: { vendor: string; product: string; serial?: string; interface?: number }): Promise<readonly string[]>
  /** The chip that a line is on; rejects with a LarderError when there is no such line. */
  chipOf(line: { pin: number; chip?: string | undefined }): Promise<Chip>
  /** What is wrong with the store of a stopped gateway; undefined when there is no store. */
  verify(dataDir: string): Promise<readonly string[] | undefined>
  /** What a tool prints; undefined when it is not there or fails. */
  ask(tool: string, args: readonly string[]): Promise<string | undefined>
  /** The addresses of a bridge, and a connection to one, with TLS if it says so. Rejects with what the network says. */
  upstreams(bridge: BridgeConfig): readonly Upstream[]
}

export interface Upstream {
  /** `host:port`. */
  readonly place: string
  /** Set where a path is to be asked for by WebSocket. */
  readonly path?: string | undefined
  dial(signal: AbortSignal): Promise<Duplex>
  /** What an error of `dial` means. */
  explain(error: unknown): { readonly reason: string; readonly hint?: string }
}
