/**
 * The publisher of a scenario: one client that publishes at every QoS, uses an identifier again only after PUBCOMP, and
 * keeps the books of what the store owes it.
 */
import { expect } from 'vitest'
import { Message } from '../../../../src/mqtt/message.ts'
import type { QoS } from '../../../../src/mqtt/packets.ts'
import type { LevelPersistence } from '../../../../src/store/persistence.ts'
import { append, History, type Life, type Sent } from './model.ts'
import { FOREVER, type Scenario, type Step, TOPICS } from './steps.ts'

export const PUBLISHER = 'publisher'
/** Packet identifiers of the publisher: few, so that they are used again. */
const PACKET_IDS = 6

export interface PublisherDependencies {
  scenario: Scenario
  store: LevelPersistence
  now: () => number
  /** Calls it unless the process is gone. */
  alive: (happens: () => void) => void
  sessions: () => Life[]
  /** The store may say that it has no room. */
  mayRefuse: () => boolean
}

export class Publisher {
  readonly messages: Sent[] = []
  /** By topic: number of the retained message. */
  readonly retained = new Map<string, History<number | null>>()
  /** By packet identifier: the message that it stands for. */
  readonly received = new Map<number, History<number | null>>()
  readonly #deps: PublisherDependencies
  /** PUBREL was sent, PUBCOMP did not come. */
  readonly #releasing = new Set<number>()

  constructor(deps: PublisherDependencies) {
    this.#deps = deps
    for (const topic of TOPICS) this.retained.set(topic, new History<number | null>(null))
    for (let id = 1; id <= PACKET_IDS; id++) this.received.set(id, new History<number | null>(null))
  }

  /** Publishes one message, if QoS 2 has an identifier left for it. */
  publish({ topic: nth, qos, retain, size, expires }: Extract<Step, { do: 'publish' }>): void {
    const topic = TOPICS[nth] as string
    const packetId = qos === 2 ? this.#freePacketId() : undefined
    if (qos === 2 && packetId === undefined) return
    const number = this.messages.length
    const message = Message.of({
      topic,
      payload: size === 0 ? Buffer.alloc(0) : Buffer.alloc(size, `message ${number} `),
      qos,
      retain,
      clientId: PUBLISHER,
      expiresAt: expires === FOREVER ? undefined : this.#deps.store.time.now() + expires,
    })
    const sent: Sent = {
      number,
      topic,
      qos,
      retain,
      expiresAt: message.expiresAt ?? Number.POSITIVE_INFINITY,
      packetId,
      payload: message.payload.toString(),
      size: message.size,
      settledAt: undefined,
    }
    if (this.#accept(message, sent)) this.messages.push(sent)
  }

  /** As the hub routes it. Returns false when the store has no room for it. */
  #accept(message: Message, sent: Sent): boolean {
    const places = this.#places(sent)
    const isTaken = message.qos === 0 ? this.#acceptQos0(message, sent) : this.#acceptPromised(message, sent)
    if (!isTaken) expect(this.#deps.mayRefuse(), 'nothing failed, and yet there is no room').toBe(true)
    if (isTaken) for (const place of places) place()
    return isTaken || message.qos === 0
  }

  /** Nobody is told what becomes of it. */
  #acceptQos0(message: Message, sent: Sent): boolean {
    const { queues } = this.#deps.store
    const { topic, retain, payload } = message
    sent.settledAt = this.#now
    if (retain) {
      queues.retain(message)
      this.#retained(topic).set(payload.length === 0 ? null : sent.number)
    }
    const spools = queues.spools(topic)
    return spools.length === 0 || queues.accept(message, spools, null)
  }

  #acceptPromised(message: Message, sent: Sent): boolean {
    const { queues } = this.#deps.store
    const { qos, topic, retain, payload } = message
    const sures: ((sureAt: number) => void)[] = []
    const tellSure = () => {
      for (const sure of sures) sure(this.#now + (qos === 2 ? 0 : this.#deps.scenario.window))
    }
    const settled = () =>
      this.#deps.alive(() => {
        expect(sent.settledAt, 'settled once').toBeUndefined()
        sent.settledAt = this.#now
        tellSure()
      })
    let refusals = 0
    const refused = () => {
      refusals++
    }
    const received = sent.packetId === undefined ? undefined : { clientId: PUBLISHER, packetId: sent.packetId }
    const isTaken = queues.accept(message, queues.targets(topic), { settled, refused }, received)
    expect(refusals, 'refused is told').toBe(isTaken ? 0 : 1)
    if (!isTaken) return false
    if (sent.packetId !== undefined) sures.push(this.#identifier(sent.packetId).set(sent.number))
    if (retain) sures.push(this.#retained(topic).set(payload.length === 0 ? null : sent.number))
    // It may have been settled before it returned.
    if (sent.settledAt !== undefined) tellSure()
    return true
  }

  /** What the sessions that want a message will have in their queues. */
  #places(message: Sent): (() => void)[] {
    const places: (() => void)[] = []
    for (const life of this.#deps.sessions()) {
      const granted = life.grantOf(message.topic)
      if (granted === undefined) continue
      const qos = Math.min(message.qos, granted) as QoS
      if (qos === 0 && (life.isAttached || !this.#deps.scenario.queueQos0)) continue
      places.push(() => append(life, message, qos, false))
    }
    return places
  }

  #freePacketId(): number | undefined {
    for (const [packetId, { last }] of this.received) {
      if (last === null && !this.#releasing.has(packetId)) return packetId
    }
    return undefined
  }

  /** The publisher answers one of its PUBRECs. */
  pubrel(pick: number): void {
    const answered = [...this.received].filter(
      ([packetId, { last }]) =>
        last !== null && !this.#releasing.has(packetId) && this.messages[last]?.settledAt !== undefined,
    )
    const [packetId] = answered[pick % Math.max(1, answered.length)] ?? []
    if (packetId === undefined) return
    this.#releasing.add(packetId)
    const sure = this.#identifier(packetId).set(null)
    this.#deps.store.queues.forget(PUBLISHER, packetId, () =>
      this.#deps.alive(() => {
        this.#releasing.delete(packetId)
        sure(this.#now)
      }),
    )
  }

  /** Numbers of the retained messages that may be found, and null for none, if the plug is pulled now. */
  possiblyRetained(topic: string): (number | null)[] {
    const possible = this.#retained(topic).possible(this.#now)
    const isOver = (number: number | null) =>
      number !== null && (this.messages[number] as Sent).expiresAt <= this.#deps.store.time.now()
    return possible.some(isOver) ? [...possible, null] : possible
  }

  /** The retained message of a topic that has one. */
  retainedOf(topic: string): Sent {
    return this.messages[this.#retained(topic).last as number] as Sent
  }

  get #now(): number {
    return this.#deps.now()
  }

  #retained(topic: string): History<number | null> {
    return this.retained.get(topic) as History<number | null>
  }

  #identifier(packetId: number): History<number | null> {
    return this.received.get(packetId) as History<number | null>
  }
}
