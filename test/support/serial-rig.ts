/** What the tests of serial devices share: a listener that writes down what a source says, and sources that are stopped in the end. */
import type { PortClaims } from '../../device/serial/claims.ts'
import { type SerialSettings, SerialSource } from '../../device/serial/serial-source.ts'
import type { PortRoots } from '../../device/serial/usb.ts'
import type { Reading, SourceEvents } from '../../src/devices/ports.ts'
import { type Clock, systemClock } from '../../src/kernel/clock.ts'
import { until } from './wait.ts'

export const never = new AbortController().signal

export class Recorder implements SourceEvents {
  readonly values: Reading['value'][] = []
  readonly states: string[] = []
  readonly faults: string[] = []

  reading({ value }: Reading): void {
    this.values.push(value)
  }
  available(up: boolean, reason?: string): void {
    this.states.push(up ? 'online' : `offline: ${reason}`)
  }
  fault(reason: string): void {
    this.faults.push(reason)
  }

  get state(): string | undefined {
    return this.states.at(-1)
  }
  toString(): string {
    return JSON.stringify({ values: this.values.slice(-20), states: this.states, faults: this.faults.slice(-20) })
  }

  /** Waits for so many readings in all. */
  count(count: number): Promise<true> {
    return until(() => this.values.length >= count, { what: () => `${count} readings; ${this}` })
  }
  is(want: string | RegExp): Promise<true> {
    const fits = (state = '') => (typeof want === 'string' ? state === want : want.test(state))
    return until(() => fits(this.state), { what: () => `${want}; ${this}` })
  }
}

export const SERIAL = {
  baud: 9600,
  dataBits: 8,
  parity: 'none',
  stopBits: 1,
  codec: 'pairs',
  maxLine: 64,
  writeLineEnding: '\n',
  every: 10_000,
  timeout: 1_000,
  retries: 2,
} as const

/** Settings of a source as a test changes them: codecs of lines only. */
export type SomeSettings = Partial<Omit<SerialSettings, 'codec'>> & { codec?: 'pairs' | 'number' }

export class SerialRig {
  readonly #sources: SerialSource[] = []

  /** A source that is started. It has not answered yet if it has to be asked. */
  begin(settings: SomeSettings, more: { clock?: Clock; name?: string; claims?: PortClaims; roots?: PortRoots } = {}) {
    const seen = new Recorder()
    const source = new SerialSource({
      settings: { ...SERIAL, ...settings } as SerialSettings,
      clock: systemClock,
      ...more,
    })
    this.#sources.push(source)
    return { source, seen, started: source.start(seen, new AbortController().signal) }
  }

  async start(...args: Parameters<SerialRig['begin']>) {
    const begun = this.begin(...args)
    await begun.started
    return begun
  }

  /** Stops this one in the end, too. */
  add(source: SerialSource): void {
    this.#sources.push(source)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sources.splice(0).map(source => source.stop()))
  }
}
