/**
 * Wills: the engine keeps them by broker and client. A client has one, wherever it is connected: when it comes to another
 * gateway, the will that it left at the first goes.
 */
import type { Will } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import type { ClientRef, Contract } from './contract.ts'
import type { Link } from './link.ts'
import type { Owners } from './owners.ts'
import type { Records } from './records.ts'

export class Wills {
  readonly #contract: Contract
  readonly #link: Link
  readonly #records: Records
  readonly #owners: Owners
  readonly #clock: Clock
  readonly #brokerId: string
  /** One after the other: a will that comes must not be removed by what was asked before. */
  #turn: Promise<unknown> = Promise.resolve()
  /** When a will of a gateway that is gone was first seen, in monotonic ms. */
  #seen = new Map<string, number>()

  constructor(deps: {
    contract: Contract
    link: Link
    records: Records
    owners: Owners
    clock: Clock
    brokerId: string
  }) {
    this.#contract = deps.contract
    this.#link = deps.link
    this.#records = deps.records
    this.#owners = deps.owners
    this.#clock = deps.clock
    this.#brokerId = deps.brokerId
  }

  put(clientId: string, will: Will): Promise<void> {
    return this.#inTurn(async () => {
      await this.#removeElsewhere(clientId)
      // The package adds the broker and the client to what it is given.
      await this.#link.insist(() => this.#contract.putWill({ id: clientId }, will))
      await this.#records.setWillAt(clientId, this.#brokerId)
    })
  }

  get(clientId: string): Promise<Will | undefined> {
    return this.#inTurn(async () => {
      return whole(await this.#link.insist(() => this.#contract.getWill({ id: clientId })))
    })
  }

  delete(client: ClientRef): Promise<Will | undefined> {
    const { id, brokerId = this.#brokerId } = client
    // One that has moved leaves its new gateway's will alone.
    const isHere = client.brokerId === undefined && this.#owners.of(id) === this.#brokerId
    return this.#inTurn(async () => {
      if (isHere) await this.#removeElsewhere(id)
      const will = await this.#link.insist(() => this.#contract.delWill({ id, brokerId }))
      if ((await this.#records.willAt(id)) === brokerId) await this.#records.forgetWillAt(id)
      return whole(will)
    })
  }

  /**
   * The wills of brokers that are not among `brokers`. Nothing while it cannot be known who is there; each to
   * one gateway only; and those that are to wait when they have waited.
   */
  async *ofOthers(brokers: Record<string, unknown>, mustAsk: boolean): AsyncGenerator<Will> {
    if (mustAsk && !this.#link.hasHeardAll) return
    const now = this.#clock.monotonic()
    const seen = new Map<string, number>()
    for await (const found of this.#contract.streamWill(brokers)) {
      const will = whole(found as Will) as Will
      const { brokerId = '', clientId = '', willDelayInterval = 0 } = will
      const key = `${brokerId}:${clientId}`
      const since = this.#seen.get(key) ?? now
      seen.set(key, since)
      if (!mustAsk) yield will
      else if (now - since >= willDelayInterval * 1000 && (await this.#records.takeWill(brokerId, clientId))) yield will
    }
    this.#seen = seen
  }

  async #removeElsewhere(clientId: string): Promise<void> {
    const brokerId = await this.#records.willAt(clientId)
    if (brokerId === undefined || brokerId === this.#brokerId) return
    await this.#link.insist(() => this.#contract.delWill({ id: clientId, brokerId }))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(ignore)
    return result
  }
}

/** The engine gives null where nothing was. */
function whole(will: Will | null | undefined): Will | undefined {
  if (will == null) return undefined
  const { forwarded, messageExpiryInterval, ...rest } = will
  const found: Will = rest
  if (forwarded != null) found.forwarded = forwarded
  if (messageExpiryInterval != null) found.messageExpiryInterval = messageExpiryInterval
  return found
}

function ignore(): void {}
