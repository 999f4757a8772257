/**
 * The store that a command line means: that of the gateway that runs on the data folder, asked through its socket, or the files
 * themselves when none runs. Never both: LevelDB lets one process have a store.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../../config/load.ts'
import { LarderError } from '../../kernel/errors.ts'
import { printFaults } from '../check.ts'
import { askGateway } from '../control.ts'
import { type Command, EXIT_FAILED, type Io } from '../larder.ts'
import { RemoteStore } from './remote.ts'

export interface DumpOptions {
  readonly topic?: string | undefined
  readonly client?: string | undefined
  readonly limit?: number | undefined
}

/** Bytes, and seconds. */
export interface StoreStatistics {
  readonly location: string
  readonly sessions: number
  readonly subscriptions: number
  readonly waiting: { readonly messages: number; readonly bytes: number; readonly oldest?: number | undefined }
  readonly retained: { readonly messages: number; readonly bytes: number }
  readonly wills: number
  readonly packetIdentifiers: number
  readonly files: { readonly count: number; readonly bytes: number }
  readonly levels: readonly { readonly level: number; readonly files: number; readonly bytes: number }[]
}

/** What can be asked of a store, running or not. All may throw a LarderError. */
export interface StoreAccess {
  /** The bytes of one file. `by` is the version that is written into it. */
  export(by: string): AsyncIterable<Buffer>
  /** Lines of JSON. */
  dump(options: DumpOptions): AsyncIterable<string>
  statistics(): Promise<StoreStatistics>
  compact(): Promise<{ before: number; after: number }>
}

/** The streams of the process, for what is no line or far too many of them. */
export interface Streams {
  readonly stdin: AsyncIterable<Buffer>
  readonly stdout: Writable
}

/** Makes an exported store that of `dataDir`. */
export type ImportStore = (options: { dataDir: string; input: AsyncIterable<Buffer>; replace: boolean }) => Promise<{
  readonly records: number
  readonly header: { readonly made: string; readonly by: string }
  /** Where the store of before is kept. */
  readonly kept: string | undefined
}>

export interface StoreDependencies extends Pick<LoadOptions, 'checks'> {
  /** The store of a data folder that no gateway has open; undefined when there is none. */
  open(dataDir: string): Promise<(StoreAccess & AsyncDisposable) | undefined>
  readonly import: ImportStore
  readonly streams: Streams
}

type Flags = Parameters<Command['run']>[0]

/**
 * Does `work` with the store that the flags name, and gives its exit status. What is wrong is said; `work` is told whether a
 * gateway is running on it.
 */
export async function withStore(
  flags: Flags,
  io: Io,
  deps: StoreDependencies,
  work: (store: StoreAccess, isRunning: boolean) => Promise<number>,
): Promise<number> {
  const dataDir = dataDirOf(flags, io, deps)
  if (dataDir === undefined) return EXIT_FAILED
  return saying(io, async () => {
    if (await isRunning(dataDir)) return work(new RemoteStore(dataDir), true)
    await using store = await deps.open(dataDir)
    // Not before that has ended may it be closed.
    if (store !== undefined) return await work(store, false)
    io.stderr(`larder: there is no store in ${dataDir} yet`)
    return EXIT_FAILED
  })
}

/** Does `work`; a LarderError is said, and is exit status 1. */
export async function saying(io: Io, work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof LarderError)) throw error
    io.stderr(`larder: ${error.toLine()}`)
    return EXIT_FAILED
  }
}

/** The data folder that the flags name, by themselves or by the configuration; undefined when it has been said why there is none. */
export function dataDirOf(
  { config, 'data-dir': dataDir }: Flags,
  io: Io,
  { checks }: Pick<LoadOptions, 'checks'>,
): string | undefined {
  if (typeof dataDir === 'string') return resolve(io.cwd, dataDir)
  const file = config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
  const result = loadConfig({ ...(typeof file === 'string' ? { file } : {}), env: io.env, cwd: io.cwd, checks })
  if ('faults' in result) {
    printFaults(io, result.faults)
    return undefined
  }
  const { engine } = result.config.store
  if (engine === 'level') return result.config.dataDir
  io.stderr(`larder: the store is kept by ${engine}: use its own tools`)
  return undefined
}

/** Whether a gateway answers there. One that is there and does not answer holds the lock of the store all the same. */
async function isRunning(dataDir: string): Promise<boolean> {
  try {
    await askGateway(dataDir, { command: 'status' })
    return true
  } catch (error) {
    if (error instanceof LarderError && error.code === 'NOT_RUNNING') return false
    throw error
  }
}

/** Writes to a stream as fast as it takes it. Resolves to false when whoever reads it has gone. */
export function written(stream: Writable, bytes: Buffer | string): Promise<boolean> {
  return new Promise(resolve => void stream.write(bytes, error => resolve(error === null || error === undefined)))
}
