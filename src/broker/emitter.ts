/**
 * The hub's emitter within one process: who listens to which topics. It keeps aedes' contract
 * (`mqemitter`), with two differences that make it fast: a listener with several matching filters is called
 * once for a message, and the listeners of a topic are remembered until somebody who may want it subscribes or leaves.
 */
import { FilterTree } from '../mqtt/filter-tree.ts'
import { forget, remember } from '../mqtt/remember.ts'
import type { Emitter, Listener, Message } from './ports.ts'

/** Answers kept: enough for a large home. */
const MAX_CACHED_TOPICS = 32_768

export class LocalEmitter implements Emitter {
  readonly #tree = new FilterTree<Listener>()
  readonly #listeners = new Map<string, readonly Listener[]>()
  #closed = false

  on(filter: string, listener: Listener, done?: () => void): this {
    this.#tree.add(filter, listener)
    forget(this.#listeners, filter)
    if (done !== undefined) setImmediate(done)
    return this
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    this.#tree.remove(filter, listener)
    forget(this.#listeners, filter)
    if (done !== undefined) setImmediate(done)
    return this
  }

  /** Calls the listeners. `done` is called when all of them have called theirs. */
  emit(message: Message, done?: (error?: Error) => void): this {
    if (this.#closed) {
      done?.(new Error('the emitter is closed'))
      return this
    }
    const listeners = this.#listeners.get(message.topic) ?? this.#find(message.topic)
    if (done === undefined) {
      for (let i = 0; i < listeners.length; i++) (listeners[i] as Listener)(message, ignore)
      return this
    }
    let waiting = listeners.length
    if (waiting === 0) done()
    for (const listener of listeners) {
      listener(message, () => {
        if (--waiting === 0) done()
      })
    }
    return this
  }

  /** How many would be called for a message with this topic. */
  count(topic: string): number {
    return (this.#listeners.get(topic) ?? this.#find(topic)).length
  }

  close(done: () => void): this {
    this.#closed = true
    setImmediate(done)
    return this
  }

  #find(topic: string): readonly Listener[] {
    const listeners = [...new Set(this.#tree.match(topic))]
    remember(this.#listeners, topic, listeners, MAX_CACHED_TOPICS)
    return listeners
  }
}

function ignore() {}
