/**
 * QoS 2, from publishers to us: the packet identifiers between PUBLISH and PUBREL, by client identifier. They are few and
 * all in memory; what is on disk says the same after a crash.
 */
import type { Message, ReceivedIds, Settlement } from '../broker/ports.ts'
import type { Committer } from './committer.ts'
import type { Disk } from './disk.ts'
import type { Receipt, Received } from './entry.ts'
import { incomingKey, incomingOfKey } from './keys.ts'
import { decodeBody, encodeBody } from './records.ts'
import type { StoreTime } from './time.ts'

const NO_IDS: ReceivedIds = new Set()

export class Incoming {
  readonly #disk: Disk
  readonly #committer: Committer
  readonly #time: StoreTime
  readonly #clients = new Map<string, Received>()

  constructor(deps: { disk: Disk; committer: Committer; time: StoreTime }) {
    this.#disk = deps.disk
    this.#committer = deps.committer
    this.#time = deps.time
  }

  /** Takes up a record of an earlier life. */
  load(key: Buffer): void {
    const { clientId, packetId } = incomingOfKey(key)
    this.#idsOf(clientId).set(packetId, null)
  }

  /** Those of one client. */
  of(clientId: string): ReceivedIds {
    return this.#clients.get(clientId) ?? NO_IDS
  }

  /** What an entry has to carry so that the identifier is on record in the same batch as its message. */
  receiptOf({ clientId, packetId }: { clientId: string; packetId: number }): Receipt {
    return { key: incomingKey(clientId, packetId), ids: this.#idsOf(clientId), packetId }
  }

  /** The message came again on another connection: `settlement` is told when the first one is settled. */
  repeated(clientId: string, packetId: number, settlement: Settlement): void {
    const entry = this.#clients.get(clientId)?.get(packetId)
    if (entry === undefined || entry === null) settlement.settled()
    else entry.alsoTell(settlement)
  }

  /** PUBREL came. `done` is called when the identifier is durably forgotten. */
  forget(clientId: string, packetId: number, done: () => void): void {
    const ids = this.#clients.get(clientId)
    if (ids?.delete(packetId) !== true) {
      done()
      return
    }
    if (ids.size === 0) this.#clients.delete(clientId)
    this.#committer.write({ type: 'del', key: incomingKey(clientId, packetId) }, 'now', { done })
  }

  /** Removes every identifier of a client. */
  forgetAll(clientId: string): void {
    const ids = this.#clients.get(clientId)
    if (ids === undefined) return
    for (const packetId of ids.keys()) {
      this.#committer.write({ type: 'del', key: incomingKey(clientId, packetId) }, 'now')
    }
    ids.clear()
    this.#clients.delete(clientId)
  }

  /** Records an identifier with its message, as aedes' contract wants it. Durable with the next commit. */
  record(clientId: string, packetId: number, message: Message): void {
    this.#idsOf(clientId).set(packetId, null)
    const value = encodeBody(message, this.#time.now(), [])
    this.#committer.write({ type: 'put', key: incomingKey(clientId, packetId), value }, 'now')
  }

  /** The message that was recorded with an identifier, if one was. */
  async messageOf(clientId: string, packetId: number): Promise<Message | undefined> {
    if (!this.of(clientId).has(packetId)) return undefined
    const value = await this.#disk.get(incomingKey(clientId, packetId))
    return value === undefined || value.length === 0 ? undefined : decodeBody(value).message
  }

  #idsOf(clientId: string): Received {
    let ids = this.#clients.get(clientId)
    if (ids === undefined) {
      ids = new Map()
      this.#clients.set(clientId, ids)
    }
    return ids
  }
}
