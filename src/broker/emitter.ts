/**
 * The hub's emitter within one process: who listens to which topics. It keeps aedes' contract
 * (`mqemitter`), with two differences that make it fast: a listener with several matching filters is called
 * once for a message, and a topic name remembers its listeners until somebody who may want it subscribes or leaves.
 */
import { FilterTree } from '../mqtt/filter-tree.ts'
import { TopicName } from '../mqtt/topic-name.ts'
import { hasWildcards } from '../mqtt/topics.ts'
import type { Emitter, Listener, Message } from './ports.ts'

/** Names that remember theirs: enough for a large home. */
const MAX_NAMES = 32_768
/** Characters of one: with their number, this bounds what they hold. */
const MAX_LENGTH = 256

/** The listeners of a topic. Mostly there is one, which stands for itself: with many topics, each look into memory is dear. */
type Found = Listener | readonly Listener[]

export class LocalEmitter implements Emitter {
  readonly #tree = new FilterTree<Listener>()
  /** Of each topic, the one name that remembers who listens. */
  readonly #names = new Map<string, TopicName>()
  #closed = false

  on(filter: string, listener: Listener, done?: () => void): this {
    this.#tree.add(filter, listener)
    this.#forget(filter)
    if (done !== undefined) setImmediate(done)
    return this
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    this.#tree.remove(filter, listener)
    this.#forget(filter)
    if (done !== undefined) setImmediate(done)
    return this
  }

  /** Calls the listeners. `done` is called when all of them have called theirs. */
  emit(message: Message, done?: (error?: Error) => void): this {
    if (this.#closed) {
      done?.(new Error('the emitter is closed'))
      return this
    }
    // Who uses aedes' contract may give something plain.
    const name = (message.name as TopicName | undefined) ?? new TopicName(message.topic)
    const found = this.#remembered(name) ?? this.#find(name)
    if (typeof found === 'function') {
      found(message, done ?? ignore)
      return this
    }
    if (done === undefined) {
      for (let i = 0; i < found.length; i++) (found[i] as Listener)(message, ignore)
      return this
    }
    let waiting = found.length
    if (waiting === 0) done()
    for (const listener of found) {
      listener(message, () => {
        if (--waiting === 0) done()
      })
    }
    return this
  }

  /** How many would be called for a message with this topic. */
  count(topic: string): number {
    const found = this.#find(new TopicName(topic))
    return typeof found === 'function' ? 1 : found.length
  }

  close(done: () => void): this {
    this.#closed = true
    setImmediate(done)
    return this
  }

  /** Null when `name` does not remember them, or those of another emitter. */
  #remembered(name: TopicName): Found | null {
    return name.emitter === this ? (name.listeners as Found | null) : null
  }

  /** The listeners of a topic; `name` remembers them from now on, in the place of another that has the same text. */
  #find(name: TopicName): Found {
    const { text } = name
    const before = this.#names.get(text)
    const found = (before === undefined ? null : this.#remembered(before)) ?? this.#match(text)
    if (text.length > MAX_LENGTH) return found
    if (before !== undefined) this.#lose(before)
    else if (this.#names.size >= MAX_NAMES) this.#forgetAll()
    name.listeners = found
    name.emitter = this
    this.#names.set(text, name)
    return found
  }

  #match(topic: string): Found {
    const listeners = [...new Set(this.#tree.match(topic))]
    return listeners.length === 1 ? (listeners[0] as Listener) : listeners
  }

  /** The listeners of the topics that match are others now. */
  #forget(filter: string): void {
    if (hasWildcards(filter)) {
      this.#forgetAll()
      return
    }
    const name = this.#names.get(filter)
    if (name === undefined) return
    this.#lose(name)
    this.#names.delete(filter)
  }

  #forgetAll(): void {
    for (const name of this.#names.values()) this.#lose(name)
    this.#names.clear()
  }

  /** A name may be kept for long: it must not keep those who have gone. */
  #lose(name: TopicName): void {
    if (name.emitter === this) name.listeners = null
  }
}

function ignore() {}
