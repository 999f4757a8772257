/**
 * The connections to Redis, three: for the store, for hearing other gateways and for telling them. The packages
 * that speak through them are optional dependencies and are loaded here, when the gateway starts.
 *
 * When Redis goes away, commands wait and are sent again in order when it is back: nothing fails, so nobody is
 * acknowledged and nothing is lost. How much may wait is bounded by who asks (`engine.ts`, `emitter.ts`). When Redis
 * answers that it will not (no memory, no disk), the command is tried again. Both are logged once an episode.
 */
/// <reference path="./packages.d.ts" />
import type { Redis } from 'ioredis'
import type { Clock, Timer } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Contract, ContractEmitter } from './contract.ts'

/** Milliseconds that the first attempt to connect may take: a busy Pi answers in one. */
const CONNECT_TIMEOUT_MS = 10_000
/** Milliseconds between attempts to connect again: each waits so much longer than the one before… */
const RECONNECT_STEP_MS = 50
/** …up to this. A Redis that is back is noticed within so long. */
const MAX_RECONNECT_MS = 2_000
/** Milliseconds between two signs of life on each connection… */
const PING_MS = 5_000
/** …and without an answer after which it is given up: a machine that lost its power closes no connection. */
const SILENCE_MS = 15_000
/** Milliseconds until a command that Redis refused is tried again: memory and disks are not cleared faster. */
const RETRY_MS = 500
/** Milliseconds that the gateway's stop waits for what is on its way to Redis. */
const STOP_WAIT_MS = 2_000
/** Packets of a queue that one look brings. */
export const PAGE = 1_000

/** Two gateways on one Redis hear each other here; one that uses another of its numbered databases does not. */
const CHANNEL = 'larder'

/** A gateway that has been in touch with the others for so many milliseconds has heard of all: three heartbeats of aedes'. */
const HEARD_ALL_MS = 15_000

export class Link {
  /** Called when Redis is there again after it was away. */
  onBack: (() => void) | null = null
  readonly #url: string
  readonly #clock: Clock
  readonly #log: Log
  #db: Redis | null = null
  #sub: Redis | null = null
  #pub: Redis | null = null
  #pings: Timer | null = null
  #isOpen = false
  /** The gateway stops: a connection that closes is no news. */
  #isStopping = false
  #isClosed = false
  #awaySince: number | null = null
  #readySince = 0
  #isRefusing = false
  #lastError = ''
  #busy = 0
  #onIdle: (() => void) | null = null

  constructor(deps: { url: string; clock: Clock; log: Log }) {
    this.#url = deps.url
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** Where Redis is, without the password that the URL may hold. */
  get place(): string {
    const { host, pathname } = new URL(this.#url)
    return `redis://${host}${pathname === '/' ? '' : pathname}`
  }

  get channel(): string {
    return `${CHANNEL}${new URL(this.#url).pathname.replace(/^\/0?$/, '')}`
  }

  get db(): Redis {
    if (this.#db === null) throw new LarderError('STORE_FAILED', 'the connection to Redis is not open.')
    return this.#db
  }

  get isReady(): boolean {
    return this.#isOpen && this.#awaySince === null
  }

  /** True when it can be said that a gateway which was not heard is not there. */
  get hasHeardAll(): boolean {
    return this.isReady && this.#clock.monotonic() - this.#readySince >= HEARD_ALL_MS
  }

  /**
   * Connects. Rejects with `DRIVER_MISSING` when the packages are not installed and with `STORE_FAILED` when Redis cannot
   * be reached.
   */
  async open(): Promise<{ contract: Contract; reader: Contract; emitter: ContractEmitter }> {
    const { Redis, createPersistence, createEmitter } = await load()
    this.#db = this.#connection(Redis)
    this.#sub = this.#connection(Redis)
    this.#pub = this.#connection(Redis)
    const all = [this.#db, this.#sub, this.#pub]
    try {
      await Promise.all(all.map(connection => connection.connect()))
    } catch (error) {
      this.#isClosed = true
      for (const connection of all) connection.disconnect()
      throw new LarderError('STORE_FAILED', `${this.place} cannot be used: ${this.#lastError || reasonOf(error)}.`, {
        hint: 'Start Redis, or correct store.url.',
        cause: error,
      })
    }
    this.#isOpen = true
    this.#readySince = this.#clock.monotonic()
    this.#pings = this.#clock.every(PING_MS, () => {
      for (const connection of all) if (connection.status === 'ready') connection.ping().catch(ignore)
    })
    const emitter = createEmitter({ subConn: this.#sub, pubConn: this.#pub }) as ContractEmitter
    emitter.state.on('error', ignore)
    this.#guardHearing(this.#sub)
    const contract = createPersistence({ conn: this.#db, maxSessionDelivery: PAGE }) as Contract
    // The same engine, asked for whole queues.
    const reader = createPersistence({ conn: this.#db, maxSessionDelivery: Number.MAX_SAFE_INTEGER }) as Contract
    return { contract, reader, emitter }
  }

  /**
   * Does `work` until Redis takes it, however long that is: it must be something that may be done twice. Rejects only when
   * the link is closed.
   */
  async insist<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++
    try {
      for (;;) {
        try {
          const result = await work()
          this.#isRefusing = false
          return result
        } catch (error) {
          if (this.#isClosed) throw new LarderError('STORE_FAILED', 'the connection to Redis is closed.')
          this.#refused(error)
          await new Promise<void>(resolve => void this.#clock.after(RETRY_MS, resolve))
        }
      }
    } finally {
      this.#busy--
      if (this.#busy === 0) this.#onIdle?.()
    }
  }

  /** No more is heard or told. What was told already still leaves. */
  async closeEmitter(): Promise<void> {
    this.#isStopping = true
    this.#sub?.disconnect()
    if (this.#pub !== null) await this.#end(this.#pub)
  }

  /** Waits for what is under way, but not for ever, and closes everything. */
  async close(): Promise<void> {
    this.#isStopping = true
    if (this.#busy > 0 && this.isReady) {
      await this.#atMost(new Promise<void>(resolve => (this.#onIdle = resolve)))
    }
    this.#isClosed = true
    this.#pings?.cancel()
    for (const connection of [this.#db, this.#sub, this.#pub]) connection?.disconnect()
  }

  #connection(Redis: RedisClass): Redis {
    const connection = new Redis(this.#url, {
      lazyConnect: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_MS,
      maxRetriesPerRequest: null,
      retryStrategy: attempt => (this.#isOpen ? Math.min(attempt * RECONNECT_STEP_MS, MAX_RECONNECT_MS) : null),
    })
    handleFloating(connection)
    connection.on('error', (error: Error) => (this.#lastError = error.message))
    connection.on('close', () => this.#lost())
    connection.on('ready', () => this.#found())
    return connection
  }

  /** What is no message of ours on the channel must not bring the gateway down. */
  #guardHearing(sub: Redis): void {
    for (const listener of sub.listeners('messageBuffer')) {
      sub.off('messageBuffer', listener as () => void)
      sub.on('messageBuffer', (...args: unknown[]) => {
        try {
          listener(...args)
        } catch (error) {
          this.#log.warn({ reason: reasonOf(error) }, 'somebody tells the gateways something that is no message')
        }
      })
    }
  }

  #lost(): void {
    if (!this.#isOpen || this.#isStopping || this.#awaySince !== null) return
    this.#awaySince = this.#clock.monotonic()
    this.#log.warn(
      { redis: this.place, reason: this.#lastError || 'it closed the connection' },
      'Redis is away: messages of QoS 1 and 2 that must be kept are not acknowledged until it is back',
    )
  }

  #found(): void {
    this.#lastError = ''
    if (this.#awaySince === null) return
    if ([this.#db, this.#sub, this.#pub].some(connection => connection?.status !== 'ready')) return
    const now = this.#clock.monotonic()
    this.#log.info({ redis: this.place, away_ms: Math.round(now - this.#awaySince) }, 'Redis is back')
    this.#awaySince = null
    this.#readySince = now
    this.onBack?.()
  }

  #refused(error: unknown): void {
    if (this.#isRefusing) return
    this.#isRefusing = true
    this.#log.error({ redis: this.place, reason: reasonOf(error) }, 'Redis refuses what it is given; it is tried again')
  }

  async #end(connection: Redis): Promise<void> {
    if (connection.status === 'ready') await this.#atMost(connection.quit().then(ignore, ignore))
    connection.disconnect()
  }

  async #atMost(work: Promise<void>): Promise<void> {
    await Promise.race([work, new Promise<void>(resolve => void this.#clock.after(STOP_WAIT_MS, resolve))])
  }
}

type RedisClass = typeof Redis

async function load() {
  try {
    const [redis, persistence, emitter] = await Promise.all([
      import('ioredis'),
      import('aedes-persistence-redis'),
      import('mqemitter-redis'),
    ])
    return {
      // Once they are bundled, CommonJS packages have nothing but a default export.
      Redis: redis.default as unknown as RedisClass,
      createPersistence: persistence.default,
      createEmitter: emitter.default,
    }
  } catch (cause) {
    throw new LarderError(
      'DRIVER_MISSING',
      'a store on Redis needs the packages `aedes-persistence-redis` and `mqemitter-redis`, which are not installed.',
      { hint: 'Install them where Larder is (`npm install aedes-persistence-redis mqemitter-redis ioredis`).', cause },
    )
  }
}

/**
 * The package does not wait for all that it asks of Redis. When such a command fails, at the stop or because Redis refuses, the
 * failure has nobody to go to, and would end the process. Who waits is told as before.
 */
function handleFloating(connection: Redis): void {
  const send = connection.sendCommand.bind(connection)
  connection.sendCommand = (...args) => {
    const answer = send(...args)
    if (answer instanceof Promise) answer.catch(ignore)
    return answer
  }
}

function ignore(): void {}
