/**
 * Parts start in order and stop in the opposite order. A start that fails or is aborted stops what
 * had already started, so a failed start leaves nothing behind.
 */

export interface Part {
  /** Named in logs when it fails to start or stop. */
  readonly name: string
  /** Resolves when the part is of use. Rejects, leaving nothing behind, when it cannot be or `signal` aborts. */
  start(signal: AbortSignal): Promise<void>
  /** Resolves when everything is released. Called once, only after `start` resolved. */
  stop(): Promise<void>
}

export class Lifecycle {
  readonly #started: Part[] = []
  readonly #onStopFault: (part: string, error: unknown) => void

  constructor(options: { onStopFault: (part: string, error: unknown) => void }) {
    this.#onStopFault = options.onStopFault
  }

  /** Starts `part` and remembers to stop it. */
  async start(part: Part, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await part.start(signal)
    this.#started.push(part)
    // An abort that came while the part was starting must not leave it running.
    signal.throwIfAborted()
  }

  /** Stops everything that started, last first. A part that fails to stop does not keep the others from stopping. */
  async stop(): Promise<void> {
    for (let part = this.#started.pop(); part !== undefined; part = this.#started.pop()) {
      try {
        await part.stop()
      } catch (error) {
        this.#onStopFault(part.name, error)
      }
    }
  }
}
