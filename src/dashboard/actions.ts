/** What a person may have done from the page. Each takes the body of its request and says in a sentence what was done. */
import { randomUUID } from 'node:crypto'
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { topicNameFault } from '../mqtt/topics.ts'
import type { Actions as Bodies, Cleared, Done } from './api.ts'
import { bodyOf, flagOf, qosOf, textOf, textsOf } from './checks.ts'
import { HttpRefusal } from './http.ts'
import type { Subject, Surroundings } from './ports.ts'

/** Topics that are cleared by one action. */
const MAX_CLEARED = 10_000
/** Clearings that can be undone at once; the oldest cannot any more when there is another. */
const MAX_UNDO = 8
/** Bytes of payload that are kept to be put back. */
const MAX_UNDO_BYTES = 16 * 1024 * 1024
/** Milliseconds in which a clearing can be undone. */
const UNDO_MS = 60_000
/** Levels of a topic that is published to; the broker has a bound of its own. */
const MAX_LEVELS = 65_535

interface Undo {
  readonly bytes: number
  readonly restores: readonly (() => Promise<boolean>)[]
  readonly timer: Timer
}

type Handler = (body: Readonly<Record<string, unknown>>) => Promise<Done>

export class Actions {
  readonly #subject: Subject
  readonly #surroundings: Surroundings
  readonly #clock: Clock
  readonly #log: Log
  /** By their tokens, oldest first. */
  readonly #undo = new Map<string, Undo>()
  readonly #handlers: Readonly<Record<keyof Bodies, Handler>>

  constructor(deps: { subject: Subject; surroundings: Surroundings; clock: Clock; log: Log }) {
    const { subject } = deps
    this.#subject = subject
    this.#surroundings = deps.surroundings
    this.#clock = deps.clock
    this.#log = deps.log
    this.#handlers = {
      publish: body => this.#publish(body),
      clear: body => this.#clear(body),
      unclear: body => this.#unclear(body),
      disconnect: async body => {
        const client = textOf(body, 'client')
        if (!subject.disconnect(client)) throw new HttpRefusal(404, `${client} is not connected`)
        return done(`${client} was disconnected`)
      },
      drop: async body => {
        const client = textOf(body, 'client')
        if (!(await subject.drop(client))) throw new HttpRefusal(404, `there is no session of ${client}`)
        return done(`the session of ${client} has ended`)
      },
      pause: async body => {
        const bridge = this.#bridge(body)
        await subject.pause(bridge)
        return done(`the bridge ${bridge} rests; what is published meanwhile waits for it`)
      },
      resume: async body => {
        const bridge = this.#bridge(body)
        await subject.resume(bridge)
        return done(`the bridge ${bridge} goes on`)
      },
      retry: async body => {
        const count = await subject.retry(this.#bridge(body))
        return done(`${count} ${count === 1 ? 'message is' : 'messages are'} sent again`)
      },
      poll: async body => {
        const device = textOf(body, 'device')
        if (!subject.things().some(({ state }) => `${state.room}/${state.name}` === device)) {
          throw new HttpRefusal(404, `there is no device ${device}`)
        }
        await subject.poll(device)
        return done(`${device} was read`)
      },
      reload: () => this.#reload(),
    }
  }

  has(name: string): name is keyof Bodies {
    return Object.hasOwn(this.#handlers, name)
  }

  /** Rejects with an HttpRefusal. `user` is who asked, for the log. */
  async run(name: keyof Bodies, input: unknown, user: string | undefined): Promise<Done> {
    const body = bodyOf(input)
    try {
      const result = await this.#handlers[name](body)
      const about = body.topic ?? body.client ?? body.bridge ?? body.device
      this.#log.info({ user, ...(about === undefined ? {} : { about }) }, `from the page: ${name}`)
      return result
    } catch (error) {
      throw error instanceof HttpRefusal ? error : new HttpRefusal(409, reasonOf(error))
    }
  }

  stop(): void {
    for (const { timer } of this.#undo.values()) timer.cancel()
    this.#undo.clear()
  }

  #bridge(body: Readonly<Record<string, unknown>>): string {
    const name = textOf(body, 'bridge')
    if (this.#subject.bridges().some(bridge => bridge.name === name)) return name
    throw new HttpRefusal(404, `there is no bridge ${name}`)
  }

  async #publish(body: Readonly<Record<string, unknown>>): Promise<Done> {
    const topic = topicOf(textOf(body, 'topic'))
    const payload = Buffer.from(textOf(body, 'payload', Number.POSITIVE_INFINITY))
    await this.#subject.publish({ topic, payload, qos: qosOf(body), retain: flagOf(body, 'retain') })
    return done(`published to ${topic}`)
  }

  async #clear(body: Readonly<Record<string, unknown>>): Promise<Cleared> {
    const topics = textsOf(body, 'topics', MAX_CLEARED)
    for (const topic of topics) topicOf(topic)
    const found = await Promise.all([...new Set(topics)].map(topic => this.#subject.clear(topic)))
    const cleared = found.filter(each => each !== undefined)
    const bytes = cleared.reduce((sum, { size }) => sum + size, 0)
    const token = randomUUID()
    const timer = this.#clock.after(UNDO_MS, () => this.#undo.delete(token))
    this.#undo.set(token, { bytes, restores: cleared.map(({ restore }) => restore), timer })
    this.#boundUndo()
    return {
      ...done(`${cleared.length} retained ${cleared.length === 1 ? 'value was' : 'values were'} cleared`),
      token,
    }
  }

  async #unclear(body: Readonly<Record<string, unknown>>): Promise<Done> {
    const token = textOf(body, 'token')
    const undo = this.#undo.get(token)
    if (undo === undefined) throw new HttpRefusal(410, 'this cannot be undone any more')
    undo.timer.cancel()
    this.#undo.delete(token)
    const restored = (await Promise.all(undo.restores.map(restore => restore()))).filter(Boolean).length
    const newer = undo.restores.length - restored
    return done(`${restored} put back${newer === 0 ? '' : `; ${newer} had something newer by then`}`)
  }

  #boundUndo(): void {
    let bytes = [...this.#undo.values()].reduce((sum, undo) => sum + undo.bytes, 0)
    for (const [token, undo] of this.#undo) {
      if (this.#undo.size <= MAX_UNDO && bytes <= MAX_UNDO_BYTES) return
      undo.timer.cancel()
      this.#undo.delete(token)
      bytes -= undo.bytes
    }
  }

  async #reload(): Promise<Done> {
    const outcome = await this.#surroundings.reload?.()
    if (outcome === undefined)
      throw new HttpRefusal(501, 'the program that runs this gateway has no configuration file')
    const text = outcome.lines.map(line => line.replace(/^larder: /, '')).join('\n')
    if (!outcome.ok) throw new HttpRefusal(409, text)
    return done(text)
  }
}

function topicOf(topic: string): string {
  const fault = topicNameFault(topic, MAX_LEVELS)
  if (fault !== undefined) throw new HttpRefusal(400, fault)
  if (topic.startsWith('$SYS/')) throw new HttpRefusal(400, 'topics below $SYS/ are the gateway’s own')
  return topic
}

function done(message: string): Done {
  return { message }
}
