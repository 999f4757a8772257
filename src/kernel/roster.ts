/**
 * Parts of one kind that come and go with the configuration, each known by a key. Applying new settings starts what is
 * new, stops what is gone, replaces what has changed, and leaves everything else alone.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Part } from './lifecycle.ts'

export class Roster<S, P extends Part> {
  readonly #make: (settings: S) => P | Promise<P>
  readonly #onFault: (part: string, error: unknown) => void
  readonly #running = new Map<string, { settings: S; part: P }>()

  /** `onFault` is told of a part that did not stop, or could not be started in the middle of things. */
  constructor(deps: { make: (settings: S) => P | Promise<P>; onFault: (part: string, error: unknown) => void }) {
    this.#make = deps.make
    this.#onFault = deps.onFault
  }

  /** What runs, in the order of its start. */
  get parts(): P[] {
    return Array.from(this.#running.values(), ({ part }) => part)
  }

  /** Starts everything. Rejects with the first failure, and leaves nothing behind. */
  async start(wanted: ReadonlyMap<string, S>, signal: AbortSignal): Promise<void> {
    try {
      for (const [key, settings] of wanted) await this.#start(key, settings, signal)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /**
   * Makes it so. Never rejects: what cannot be started is told to `onFault`, and does not run. Returns the keys that
   * were stopped, replaced or started.
   */
  async apply(wanted: ReadonlyMap<string, S>, signal: AbortSignal): Promise<string[]> {
    const changed: string[] = []
    for (const [key, { settings }] of [...this.#running]) {
      if (isDeepStrictEqual(settings, wanted.get(key))) continue
      changed.push(key)
      await this.#stop(key)
    }
    for (const [key, settings] of wanted) {
      if (this.#running.has(key)) continue
      if (!changed.includes(key)) changed.push(key)
      try {
        await this.#start(key, settings, signal)
      } catch (error) {
        this.#onFault(key, error)
      }
    }
    return changed
  }

  /** Stops everything, last first. */
  async stop(): Promise<void> {
    for (const key of [...this.#running.keys()].reverse()) await this.#stop(key)
  }

  async #start(key: string, settings: S, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const part = await this.#make(settings)
    await part.start(signal)
    this.#running.set(key, { settings, part })
  }

  async #stop(key: string): Promise<void> {
    const running = this.#running.get(key)
    this.#running.delete(key)
    try {
      await running?.part.stop()
    } catch (error) {
      this.#onFault(key, error)
    }
  }
}
