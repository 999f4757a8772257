/**
 * The gateway's own machine as a source: temperature, load, memory, disk and uptime, whatever of it this
 * machine has. Real readings on every machine, so that a bare one has something to show. Names end in
 * their unit; what is absent here is left out of the reading.
 */
import { readdir, readFile, statfs } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import type { Source, SourceEvents, ValueDescription } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import { Rhythm } from './rhythm.ts'

/** Time in ms that a round may take: all of it is memory, except a disk that is mounted over a network. */
const ROUND_LIMIT = 10_000

/** Kernel names of sensors that sit in the processor; others (Wi-Fi, battery, disk) are second choice. */
const PROCESSOR = /cpu|soc|core|pkg|k10temp/i

export interface SystemSettings {
  /** Time in ms between two readings. */
  readonly every: number
  /** A path on the disk whose free space is told. */
  readonly disk: string
}

/** Where temperatures are: a folder whose entries have a file with a name and one with thousandths of a degree. */
interface SensorClass {
  readonly root: string
  readonly entry: RegExp
  readonly name: string
  readonly temperature: string
}

export class SystemSource implements Source {
  readonly values: Readonly<Record<string, ValueDescription>> = {
    temperature_c: { unit: '°C', deviceClass: 'temperature', stateClass: 'measurement' },
    load_1m: { stateClass: 'measurement' },
    load_5m: { stateClass: 'measurement' },
    load_15m: { stateClass: 'measurement' },
    memory_used_bytes: { unit: 'B', deviceClass: 'data_size', stateClass: 'measurement' },
    memory_available_bytes: { unit: 'B', deviceClass: 'data_size', stateClass: 'measurement' },
    disk_free_bytes: { unit: 'B', deviceClass: 'data_size', stateClass: 'measurement' },
    uptime_s: { unit: 's', deviceClass: 'duration', stateClass: 'measurement' },
  }
  readonly #disk: string
  readonly #sensors: readonly SensorClass[]
  readonly #rhythm: Rhythm
  #events: SourceEvents | undefined
  /** The disk's last fault, told once. */
  #diskFault: string | undefined

  /** @param options.thermal @param options.hwmon sysfs folders, for tests */
  constructor(options: { settings: SystemSettings; clock: Clock; thermal?: string; hwmon?: string }) {
    const { thermal = '/sys/class/thermal', hwmon = '/sys/class/hwmon', settings, clock } = options
    this.#disk = settings.disk
    this.#sensors = [
      { root: thermal, entry: /^thermal_zone\d+$/, name: 'type', temperature: 'temp' },
      { root: hwmon, entry: /^hwmon\d+$/, name: 'name', temperature: 'temp1_input' },
    ]
    this.#rhythm = new Rhythm({
      clock,
      every: settings.every,
      limit: ROUND_LIMIT,
      ask: () => this.#read(),
      late: () => this.#events?.available(false, `reading takes longer than ${ROUND_LIMIT / 1000} s`),
    })
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#events = events
    this.#rhythm.start()
  }

  async stop(): Promise<void> {
    this.#events = undefined
    this.#rhythm.stop()
  }

  /** Reads now, or joins the reading that is under way. */
  poll(): Promise<void> {
    return this.#rhythm.now()
  }

  async #read(): Promise<void> {
    const [temperature, disk] = await Promise.all([this.#temperature(), this.#freeDisk()])
    const [load1 = 0, load5 = 0, load15 = 0] = os.loadavg()
    // On Linux Node's "free" is MemAvailable: what programs can still get, caches included.
    const available = os.freemem()
    this.#events?.available(true)
    this.#events?.reading({
      value: {
        ...(temperature === undefined ? {} : { temperature_c: temperature }),
        load_1m: rounded(load1, 2),
        load_5m: rounded(load5, 2),
        load_15m: rounded(load15, 2),
        memory_used_bytes: os.totalmem() - available,
        memory_available_bytes: available,
        ...(disk === undefined ? {} : { disk_free_bytes: disk }),
        uptime_s: Math.floor(os.uptime()),
      },
    })
  }

  /** Bytes that an ordinary user may still write, or undefined where the path cannot be asked. */
  async #freeDisk(): Promise<number | undefined> {
    try {
      const { bavail, bsize } = await statfs(this.#disk)
      this.#diskFault = undefined
      return bavail * bsize
    } catch (error) {
      const fault = `the disk of ${this.#disk} cannot be measured: ${reasonOf(error)}`
      if (fault !== this.#diskFault) this.#events?.fault(fault)
      this.#diskFault = fault
      return undefined
    }
  }

  /** Degrees Celsius of the processor, else of the first sensor that answers; undefined where none does. */
  async #temperature(): Promise<number | undefined> {
    for (const sensors of this.#sensors) {
      const degrees = await readTemperature(sensors)
      if (degrees !== undefined) return degrees
    }
    return undefined
  }
}

async function readTemperature({ root, entry, name, temperature }: SensorClass): Promise<number | undefined> {
  const entries = (await readdir(root).catch(() => [])).filter(found => entry.test(found))
  entries.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  let second: number | undefined
  for (const folder of entries) {
    const milli = await readText(join(root, folder, temperature))
    // A sensor may refuse (a Wi-Fi chip that sleeps): then it is not the one.
    if (milli === undefined || milli === '' || !Number.isFinite(Number(milli))) continue
    const degrees = rounded(Number(milli) / 1000, 1)
    if (PROCESSOR.test((await readText(join(root, folder, name))) ?? '')) return degrees
    second ??= degrees
  }
  return second
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch {
    return undefined
  }
}

function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals))
}
