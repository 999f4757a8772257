/**
 * What the clients of a scenario share: the way to the gateway, the books, the time, and the turns that a run takes.
 * A client knocks until the gateway is back, and its line breaks when the gateway dies.
 */
import { setMaxListeners } from 'node:events'
import type { IConnackPacket, Packet } from 'mqtt-packet'
import { RawClient } from '../support/mqtt-client.ts'
import type { Books } from './books.ts'
import type { Random } from './random.ts'

/** ms for a connection and its CONNACK. A guest that is still booting takes a connection and never answers. */
const KNOCK_PATIENCE = 5_000
/** ms between two knocks at a closed door: a start takes some hundred. */
const KNOCK_PAUSE = { min: 5, max: 30 }

export interface Caller {
  clientId: string
  version: 4 | 5
  clean: boolean
  random: Random
  /** Every packet that comes, CONNACK first. */
  onPacket(client: RawClient, packet: Packet): void
}

export class World {
  readonly port: number
  readonly books: Books
  /** Appends a line to the diary of the run. */
  readonly note: (line: string) => void
  readonly #began = performance.now()
  readonly #clients = new Set<RawClient>()
  readonly #deaf = new Set<RawClient>()
  readonly #finale = new AbortController()
  readonly #end = new AbortController()

  constructor(fields: { port: number; books: Books; note: (line: string) => void }) {
    this.port = fields.port
    this.books = fields.books
    this.note = fields.note
    // Every client waits for them at times.
    setMaxListeners(0, this.#finale.signal, this.#end.signal)
  }

  /** Whole milliseconds since the run began, monotonic. */
  now(): number {
    return Math.floor(performance.now() - this.#began)
  }

  /** Open connections. When the gateway is dead and there are none, everything that it said was heard. */
  get connections(): number {
    return this.#clients.size
  }

  /** From here on, the share of clients that `random` chooses hears nothing more: what it is told is lost on the way. */
  deafen(random: Random, share: number): void {
    for (const client of this.#clients) {
      if (!random.chance(share)) continue
      client.socket.pause()
      this.#deaf.add(client)
    }
  }

  /** The lines of those who hear nothing break. */
  cutDeaf(): void {
    for (const client of this.#deaf) client.socket.destroy()
    this.#deaf.clear()
  }

  /** The last kill is over: who is away comes, who comes stays. */
  beginFinale(): void {
    this.#finale.abort()
  }

  get isFinale(): boolean {
    return this.#finale.signal.aborted
  }

  /** Everybody goes. */
  end(): void {
    this.#finale.abort()
    this.#end.abort()
    for (const client of this.#clients) client.socket.destroy()
  }

  get isOver(): boolean {
    return this.#end.signal.aborted
  }

  /** Resolves after `ms`, or at the finale when that comes first. */
  async pause(ms: number): Promise<void> {
    await wait(ms, this.isFinale ? this.#end.signal : this.#finale.signal)
  }

  /** Resolves when the finale begins. */
  async finale(): Promise<void> {
    const { signal } = this.#finale
    if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
  }

  /** Connects, knocking until it is let in. Undefined when the run is over. */
  async connect(caller: Caller): Promise<RawClient | undefined> {
    while (!this.isOver) {
      const client = await this.knock(caller)
      if (client !== undefined) return client
      await wait(caller.random.between(KNOCK_PAUSE.min, KNOCK_PAUSE.max), this.#end.signal)
    }
    return undefined
  }

  /** One attempt to connect. Undefined when it fails. */
  async knock(caller: Caller): Promise<RawClient | undefined> {
    const { clientId, clean, version } = caller
    const options = { port: this.port, clientId, clean, protocolVersion: version, patience: KNOCK_PATIENCE }
    let client: RawClient | undefined
    try {
      const opened = await RawClient.open({ ...options, acknowledging: false, keeping: false })
      client = opened
      this.#clients.add(opened)
      void opened.closed.then(() => this.#clients.delete(opened))
      opened.onPacket = packet => caller.onPacket(opened, packet)
      const connack = await opened.handshake(options)
      const code = connack.reasonCode ?? connack.returnCode
      if (code === 0) return opened
      this.books.odd(`${clientId} was refused with return code ${code} at ${this.now()} ms`)
    } catch {
      // Nobody there, or it died meanwhile.
    }
    client?.socket.destroy()
    return undefined
  }
}

/** Holds the gateway to its word that a session stands. */
export class Standing {
  readonly #world: World
  readonly #clientId: string
  #since: number | undefined

  constructor(fields: { world: World; clientId: string }) {
    this.#world = fields.world
    this.#clientId = fields.clientId
  }

  /** CONNACK came. Returns false when the session is new. */
  check(connack: IConnackPacket): boolean {
    const now = this.#world.now()
    if (connack.sessionPresent) {
      this.#since ??= now
      return true
    }
    if (this.#since !== undefined) {
      this.#world.books.lostSessions.push({ client: this.#clientId, stoodAt: this.#since, goneAt: now })
    }
    this.#since = now
    return false
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
