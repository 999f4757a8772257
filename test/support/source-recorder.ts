/** A listener of a source that writes down what it hears, in order. Reports of the same availability are kept: a test may count them. */
import type { Reading, SourceEvents } from '../../src/devices/ports.ts'

type Heard = { value: Reading['value'] } | { up: boolean; reason?: string } | { fault: string }

export class SourceRecorder implements SourceEvents {
  readonly heard: Heard[] = []
  readonly #waiting: (() => void)[] = []

  get values(): Reading['value'][] {
    return this.heard.flatMap(event => ('value' in event ? [event.value] : []))
  }

  get faults(): string[] {
    return this.heard.flatMap(event => ('fault' in event ? [event.fault] : []))
  }

  /** The last state, undefined before the first report. */
  get up(): boolean | undefined {
    return this.heard.flatMap(event => ('up' in event ? [event.up] : [])).at(-1)
  }

  get reason(): string | undefined {
    return this.heard.flatMap(event => ('up' in event && !event.up ? [event.reason] : [])).at(-1)
  }

  reading(reading: Reading): void {
    this.#note({ value: reading.value })
  }

  available(up: boolean, reason?: string): void {
    this.#note(reason === undefined ? { up } : { up, reason })
  }

  fault(reason: string): void {
    this.#note({ fault: reason })
  }

  /** Resolves when something more was heard. */
  more(): Promise<void> {
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  #note(event: Heard): void {
    this.heard.push(event)
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
