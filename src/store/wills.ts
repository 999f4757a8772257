/** The wills of connected clients, kept so that a crash of the gateway does not lose them. */
import type { Will } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Committer } from './committer.ts'
import { nameKey, nameOfKey } from './keys.ts'

interface Encoded {
  payload: string
  forwarded?: string | undefined
}

export class Wills {
  readonly #committer: Committer
  readonly #clock: Clock
  readonly #wills = new Map<string, Will>()
  /** When the wills of an earlier life were read. */
  readonly #loadedAt: number

  constructor(deps: { committer: Committer; clock: Clock }) {
    this.#committer = deps.committer
    this.#clock = deps.clock
    this.#loadedAt = deps.clock.monotonic()
  }

  load(key: Buffer, value: Buffer): void {
    const { payload, forwarded, ...will } = JSON.parse(value.toString()) as Omit<Will, 'payload' | 'forwarded'> &
      Encoded
    const properties = forwarded === undefined ? {} : { forwarded: Buffer.from(forwarded, 'base64') }
    this.#wills.set(nameOfKey(key), { ...will, ...properties, payload: Buffer.from(payload, 'base64') })
  }

  set(clientId: string, will: Will): void {
    this.#wills.set(clientId, will)
    const { payload, forwarded, ...rest } = will
    const encoded: Encoded = { payload: payload.toString('base64'), forwarded: forwarded?.toString('base64') }
    const record = { ...rest, ...encoded, clientId }
    this.#committer.write(
      { type: 'put', key: nameKey('w', clientId), value: Buffer.from(JSON.stringify(record)) },
      'lazy',
    )
  }

  get(clientId: string): Will | undefined {
    return this.#wills.get(clientId)
  }

  delete(clientId: string): Will | undefined {
    const will = this.#wills.get(clientId)
    if (will === undefined) return undefined
    this.#wills.delete(clientId)
    this.#committer.write({ type: 'del', key: nameKey('w', clientId) }, 'lazy')
    return will
  }

  /** The wills of brokers that are not among `brokers`: their clients' connections ended with them. Those that are to wait come when they have waited. */
  *ofOthers(brokers: Record<string, unknown>): Generator<Will> {
    const waited = this.#clock.monotonic() - this.#loadedAt
    for (const will of this.#wills.values()) {
      const { brokerId, willDelayInterval = 0 } = will
      if (brokerId !== undefined && brokers[brokerId] !== undefined) continue
      if (waited >= willDelayInterval * 1000) yield will
    }
  }
}
