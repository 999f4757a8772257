/**
 * The hub's emitter over several gateways. Listeners are called within this process, at once, by the emitter
 * that a single gateway has; what is emitted also goes to the other gateways, all of it on one channel of
 * `mqemitter-redis`. Every gateway hears everything: it keeps a copy of all retained messages anyway.
 *
 * Redis does not keep what nobody hears, so this serves connected subscribers; what must not be lost is in the
 * queues (`queue.ts`), and a gateway is told here to look there.
 */
import { randomUUID } from 'node:crypto'
import type { Emitter, Listener, Message } from '../broker/ports.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { ContractEmitter } from './contract.ts'
import type { Link } from './link.ts'
import { type Carried, carried, revived } from './wire.ts'

/** Bytes of messages on their way to the other gateways. Beyond, messages are not told to them (and that is counted). */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024
/** Bytes that a message takes besides its own. */
const OVERHEAD_BYTES = 200

/** Aedes' own sessions clear counters when they hear this of another broker; ours keep none. */
const BIRTH = /^\$SYS\/[^/]+\/birth$/

/** What goes over the channel: a message, or the clients whose queues have something new. */
interface Told {
  topic: string
  from: string
  message?: Carried
  queued?: string[]
}

export class ClusterEmitter implements Emitter {
  /** Called for each message of another gateway, before listeners are. */
  onMessage: ((message: Message) => void) | null = null
  /** Called when another gateway has put something into these clients' queues. */
  onQueued: ((clientIds: readonly string[]) => void) | null = null
  /** Messages that the other gateways were not told of. */
  dropped = 0
  readonly #local: Emitter
  readonly #link: Link
  readonly #log: Log
  readonly #id = randomUUID()
  #remote: ContractEmitter | null = null
  #unsentBytes = 0

  /** @param deps.local serves the listeners of this gateway */
  constructor(deps: { local: Emitter; link: Link; log: Log }) {
    this.#local = deps.local
    this.#link = deps.link
    this.#log = deps.log
  }

  /** Begins to hear the other gateways. */
  async open(remote: ContractEmitter): Promise<void> {
    this.#remote = remote
    await new Promise<void>(resolve => {
      const listener = (told: Told, done: () => void) => {
        this.#hear(told)
        done()
      }
      remote.on(this.#link.channel, listener as never, resolve)
    })
  }

  on(filter: string, listener: Listener, done?: () => void): this {
    this.#local.on(filter, listener, done)
    return this
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    this.#local.removeListener(filter, listener, done)
    return this
  }

  emit(message: Message, done?: (error?: Error) => void): this {
    this.#local.emit(message, done)
    // While Redis is away, what is only of use now is not saved up.
    const isFleeting = message.qos === 0 && !message.retain && !message.topic.startsWith('$SYS/')
    if (isFleeting && !this.#link.isReady) this.dropped++
    else this.#tell({ message: carried(message) }, message.topic.length + message.payload.length)
    return this
  }

  /** Tells the other gateways that there is something new in the queues of these clients. */
  announce(clientIds: string[]): void {
    this.#tell(
      { queued: clientIds },
      clientIds.reduce((bytes, clientId) => bytes + clientId.length, 0),
    )
  }

  close(done: () => void): this {
    this.#remote = null
    void this.#link.closeEmitter().then(() => this.#local.close(done))
    return this
  }

  #tell(told: Pick<Told, 'message' | 'queued'>, size: number): void {
    if (this.#remote === null) return
    if (this.#unsentBytes > MAX_UNSENT_BYTES) {
      this.dropped++
      return
    }
    const bytes = size + OVERHEAD_BYTES
    this.#unsentBytes += bytes
    this.#remote.emit(
      { topic: this.#link.channel, from: this.#id, ...told } as Told,
      () => (this.#unsentBytes -= bytes),
    )
  }

  #hear(told: Told): void {
    if (told.from === this.#id || this.#remote === null) return
    try {
      if (told.queued != null) this.onQueued?.(told.queued)
      if (told.message == null || BIRTH.test(told.message.topic)) return
      const message = revived(told.message)
      this.onMessage?.(message)
      this.#local.emit(message)
    } catch (error) {
      this.#log.error({ reason: reasonOf(error) }, 'a message of another gateway could not be dealt with')
    }
  }
}
