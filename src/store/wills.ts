/** The wills of connected clients, kept so that a crash of the gateway does not lose them. */
import type { Will } from '../broker/ports.ts'
import type { Committer } from './committer.ts'
import { nameKey, nameOfKey } from './keys.ts'

export class Wills {
  readonly #committer: Committer
  readonly #wills = new Map<string, Will>()

  constructor(committer: Committer) {
    this.#committer = committer
  }

  load(key: Buffer, value: Buffer): void {
    const { payload, ...will } = JSON.parse(value.toString()) as Will & { payload: string }
    this.#wills.set(nameOfKey(key), { ...will, payload: Buffer.from(payload, 'base64') })
  }

  set(clientId: string, will: Will): void {
    this.#wills.set(clientId, will)
    const { topic, payload, qos, retain, brokerId } = will
    const record = { topic, payload: payload.toString('base64'), qos, retain, brokerId, clientId }
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

  /** The wills of brokers that are not among `brokers`: their clients' connections ended with them. */
  *ofOthers(brokers: Record<string, unknown>): Generator<Will> {
    for (const will of this.#wills.values()) {
      if (will.brokerId === undefined || brokers[will.brokerId] === undefined) yield will
    }
  }
}
