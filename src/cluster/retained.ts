/**
 * Retained messages: the engine keeps them, and every gateway has a copy of all, since they are asked for at once.
 * The copy is read at the start and whenever Redis was away, and follows what the gateways tell each other. Of several
 * values of one topic that wait for the engine, only the last is written.
 */
import type { LifeTime, Message } from '../broker/ports.ts'
import { NameTree } from '../mqtt/name-tree.ts'
import type { Contract } from './contract.ts'
import type { Link } from './link.ts'
import { type Carried, carried, revived } from './wire.ts'

export class RetainedCopy {
  readonly #contract: Contract
  readonly #link: Link
  readonly #time: LifeTime
  readonly #messages = new NameTree<Message>()
  /** To be written, by topic: as many as there are topics. */
  #unwritten = new Map<string, Message>()
  #waiting: (() => void)[] = []
  #isWriting = false
  /** Topics that changed while the copy is being read; null when it is not. */
  #changed: Set<string> | null = null

  constructor(deps: { contract: Contract; link: Link; time: LifeTime }) {
    this.#contract = deps.contract
    this.#link = deps.link
    this.#time = deps.time
  }

  get count(): number {
    return this.#messages.size
  }

  /** Another gateway has a new retained message; an empty payload removes it. */
  follow(message: Message): void {
    const { topic, payload } = message
    this.#changed?.add(topic)
    if (payload.length > 0) this.#messages.set(topic, message.detached())
    else this.#messages.delete(topic)
  }

  /** Makes `message` the retained one of its topic. `done` when the engine has it, or one that came after it. */
  store(message: Message, done?: () => void): void {
    this.follow(message)
    this.#unwritten.set(message.topic, message)
    if (done !== undefined) this.#waiting.push(done)
    if (!this.#isWriting) void this.#write()
  }

  /** Those whose topics match and whose time is not over. */
  *matching(filter: string): Generator<Message> {
    const now = this.#time.now()
    for (const message of this.#messages.matching(filter)) {
      if (message.expiresAt === undefined || message.expiresAt > now) yield message
      else this.#messages.delete(message.topic)
    }
  }

  /** Reads all of them from the engine. */
  async load(): Promise<void> {
    const changed = new Set<string>(this.#unwritten.keys())
    this.#changed = changed
    const found = await this.#link.insist(async () => {
      const messages = new Map<string, Message>()
      for await (const packet of this.#contract.createRetainedStream('#')) {
        const message = revived(packet as Carried)
        messages.set(message.topic, message.detached())
      }
      return messages
    })
    // What dollar topics hold is not under '#', so it is gone through by hand.
    for (const filter of ['#', '$SYS/#']) {
      for (const { topic } of this.#messages.matching(filter)) {
        if (!found.has(topic) && !changed.has(topic)) this.#messages.delete(topic)
      }
    }
    for (const [topic, message] of found) if (!changed.has(topic)) this.#messages.set(topic, message)
    if (this.#changed === changed) this.#changed = null
  }

  async #write(): Promise<void> {
    this.#isWriting = true
    try {
      while (this.#unwritten.size > 0) {
        const batch = [...this.#unwritten.values()]
        const waiting = this.#waiting
        this.#unwritten = new Map()
        this.#waiting = []
        for (const { topic } of batch) this.#changed?.add(topic)
        await Promise.all(
          batch.map(message =>
            this.#link.insist(() => this.#contract.storeRetained({ cmd: 'publish', ...carried(message) })),
          ),
        )
        for (const done of waiting) done()
      }
    } catch {
      // The gateway stops: nobody is told that it is written.
    } finally {
      this.#isWriting = false
    }
  }
}
