/**
 * A disk that fails on purpose, between the committer and LevelDB. It counts the batches that it is given and at a
 * chosen one does what cards, kernels and people who pull plugs do. It keeps every batch that it let through, so that
 * the disk as a pulled plug would have left it can be made again from them.
 */
import { join } from 'node:path'
import { silentLog } from '../../../../src/kernel/log.ts'
import type { BatchWriter, Operation } from '../../../../src/store/committer.ts'
import { Disk } from '../../../../src/store/disk.ts'

export type Fault =
  | { kind: 'none' }
  /** So many batches from this one on are refused; nothing of them is written. */
  | { kind: 'refuse'; at: number; times: number; code: 'ENOSPC' | 'EIO' }
  /** They are written, and said not to be. */
  | { kind: 'lie'; at: number; times: number }
  /** LevelDB itself refuses them, and has to be opened again. */
  | { kind: 'tear'; at: number; times: number }
  /** They take as long as so many steps of the scenario. `early`: they are on the disk before that, and said to be after. */
  | { kind: 'delay'; at: number; steps: number; early: boolean }
  /** From this one on nothing is written, and the process is gone. */
  | { kind: 'plug'; at: number }

export type FaultKind = Fault['kind']

interface Batch {
  readonly operations: readonly Operation[]
  readonly sync: boolean
}

/** LevelDB refuses a batch with this in it, whole. */
const INVALID = { type: 'del', key: null } as unknown as Operation

const REASONS = { ENOSPC: 'No space left on device', EIO: 'Input/output error' } as const

export class Medium {
  /** Batches that it was given since `arm`. */
  calls = 0
  /** Batches that failed. */
  failures = 0
  /** Batches on their way, but for the one that is held. */
  inFlight = 0
  isPlugged = false
  readonly #fault: Fault
  readonly #written: Batch[] = []
  #isArmed = false
  #isFree = false
  #held: { steps: number; go: () => void } | null = null

  constructor(fault: Fault) {
    this.#fault = fault
  }

  /** The fault counts from here. */
  arm(): void {
    this.#isArmed = true
  }

  wrap(disk: BatchWriter): BatchWriter {
    return {
      write: async (operations, sync) => {
        this.inFlight++
        try {
          await this.#write(disk, operations, sync)
        } finally {
          this.inFlight--
        }
      },
    }
  }

  /** A step of the scenario is over. */
  tick(): void {
    if (this.#held !== null && --this.#held.steps <= 0) this.#go()
  }

  /** The scenario is over: nothing is held any more. */
  free(): void {
    this.#isFree = true
    this.#go()
  }

  /** How many batches from the first are on the disk for certain when the plug is pulled. */
  get synced(): number {
    return this.#written.findLastIndex(({ sync }) => sync) + 1
  }

  /** How many are there when only the process dies. */
  get written(): number {
    return this.#written.length
  }

  /** Makes the store again in another folder, of its first `count` batches. */
  async replay(dataDir: string, count: number): Promise<void> {
    const disk = new Disk(join(dataDir, 'store'), { log: silentLog })
    await disk.open()
    for (const { operations } of this.#written.slice(0, count)) await disk.write([...operations], false)
    await disk.close()
  }

  async #write(disk: BatchWriter, operations: Operation[], sync: boolean): Promise<void> {
    if (this.isPlugged) throw new Error('there is no power')
    const fault = this.#isArmed && this.#isHit(this.calls++) ? this.#fault : undefined
    switch (fault?.kind) {
      case 'refuse':
        this.failures++
        throw new Error(`IO error: 000007.log: ${REASONS[fault.code]}`)
      case 'lie':
        await this.#let(disk, operations, sync)
        this.failures++
        throw new Error('IO error: 000007.log: Input/output error')
      case 'tear':
        this.failures++
        return await disk.write([...operations, INVALID], sync)
      case 'delay':
        if (fault.early) await this.#let(disk, operations, sync)
        await this.#hold(fault.steps)
        if (!fault.early) await this.#let(disk, operations, sync)
        return
      case 'plug':
        // All of this batch may be there, or nothing.
        this.#written.push({ operations, sync: false })
        this.isPlugged = true
        throw new Error('there is no power')
      default:
        await this.#let(disk, operations, sync)
    }
  }

  #isHit(call: number): boolean {
    const fault = this.#fault
    if (fault.kind === 'none') return false
    return call >= fault.at && call < fault.at + ('times' in fault ? fault.times : 1)
  }

  /** The kernel is not asked to force it to the disk: what a pulled plug takes is decided by `replay`. */
  async #let(disk: BatchWriter, operations: Operation[], sync: boolean): Promise<void> {
    await disk.write(operations, false)
    this.#written.push({ operations, sync })
  }

  #go(): void {
    this.#held?.go()
    this.#held = null
  }

  async #hold(steps: number): Promise<void> {
    if (this.#isFree) return
    this.inFlight--
    await new Promise<void>(go => {
      this.#held = { steps, go }
    })
    this.inFlight++
  }
}
