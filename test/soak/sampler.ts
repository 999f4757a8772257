/** Looks at the gateway every second: the kernel's counters, Node's heap, the pinger's latest line, the store's folder. */
import { join } from 'node:path'
import { ROOT } from '../support/gateway.ts'
import { Process } from '../support/process.ts'
import { folderBytes, openHandles, processorSeconds, residentMemory, waitedSeconds } from '../support/procfs.ts'
import type { Inspector } from './inspector.ts'
import type { Live, Sample } from './verdict.ts'

interface Pings {
  p50: number
  p99: number
  late: number
}

interface Watched {
  pid: number
  dataDir: string
  inspector: Inspector
  /** Of the run. */
  seconds: number
  onSample(sample: Sample): void
}

/** ms between two samples. */
const EVERY = 1_000
/** Collections of all garbage in a run: some in each quarter, and few enough not to be the load… */
const COLLECTIONS = 24
/** …also in a short one: seconds between two, each of which holds up the gateway for some 30 ms. */
const MIN_BETWEEN = 5

export class Sampler implements AsyncDisposable {
  readonly samples: Sample[] = []
  readonly lives: Live[] = []
  readonly #deps: Watched
  readonly #pinger: Process
  readonly #began = performance.now()
  /** What the counters said at the last sample. */
  #processor = 0
  #waited = 0
  #timer: NodeJS.Timeout | undefined
  #sampling: Promise<void> | undefined
  #fault: unknown

  private constructor(deps: Watched, port: number, processor: number) {
    this.#deps = deps
    this.#processor = processor
    this.#pinger = new Process(process.execPath, [join(ROOT, 'test/soak/pinger.mjs'), String(port)])
  }

  static async start(deps: Watched, port: number): Promise<Sampler> {
    const sampler = new Sampler(deps, port, await processorSeconds(deps.pid))
    sampler.#timer = setInterval(() => {
      // One that takes longer than a second leaves out the next.
      sampler.#sampling ??= sampler
        .#sample()
        .catch(error => {
          sampler.#fault ??= error
        })
        .finally(() => {
          sampler.#sampling = undefined
        })
    }, EVERY)
    return sampler
  }

  /** Takes no more samples. Rejects with the first fault that there was. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#sampling
    await this.#pinger.kill('SIGKILL')
    if (this.#fault !== undefined) throw this.#fault
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#pinger[Symbol.asyncDispose]()
  }

  async #sample(): Promise<void> {
    const { pid, dataDir, inspector, seconds, onSample } = this.#deps
    const pings = this.#latestPings()
    if (pings === undefined) return
    const at = (performance.now() - this.#began) / 1_000
    const passed = at - (this.samples.at(-1)?.at ?? 0)
    const processor = await processorSeconds(pid)
    const waited = await waitedSeconds(pid)
    const { heapUsed, external } = await inspector.heap()
    const handles = await handlesOf(pid, dataDir)
    const sample: Sample = {
      at,
      resident: await residentMemory(pid),
      heap: heapUsed,
      external,
      ...handles,
      store: await folderBytes(join(dataDir, 'store')),
      processor: (processor - this.#processor) / passed,
      waited: (waited - this.#waited) / passed,
      pingMedian: pings.p50,
      pingHigh: pings.p99,
      late: pings.late,
    }
    this.#processor = processor
    this.#waited = waited
    this.samples.push(sample)
    onSample(sample)
    if (at > (this.lives.length + 1) * Math.max(MIN_BETWEEN, seconds / COLLECTIONS))
      this.lives.push({ at, heap: (await inspector.liveHeap()).heapUsed })
  }

  #latestPings(): Pings | undefined {
    if (!this.#pinger.running)
      throw new Error(`the gateway closed the pinger's connection\n${this.#pinger.transcript()}`)
    const line = this.#pinger.lines.splice(0).at(-1)
    return line === undefined ? undefined : (JSON.parse(line) as Pings)
  }
}

/** Open handles of the store's files, and all others. */
export async function handlesOf(pid: number, dataDir: string): Promise<{ handles: number; tables: number }> {
  const all = await openHandles(pid)
  const tables = all.filter(target => target.startsWith(`${dataDir}/`)).length
  return { handles: all.length - tables, tables }
}
