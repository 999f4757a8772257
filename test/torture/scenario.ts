/**
 * A gateway is killed again and again while publishers, subscribers and a watcher go on as clients must; then
 * everybody finishes, and the judge reads the books. Whatever can be killed and started again is a victim.
 *
 * The load is some thousand messages a second in bursts, and bounded, so that those who were away have drained
 * their queues in seconds.
 */
import { until } from '../support/wait.ts'
import { Books } from './books.ts'
import {
  PUBLISHERS,
  QUIET_PUBLISHERS,
  QUIET_TOPICS,
  RATE,
  RETAINED_RATE,
  RETAINED_REST,
  RETAINERS,
  SUBSCRIBERS,
  TOPICS,
} from './cast.ts'
import { judge, type Tolerance, type Verdict } from './judge.ts'
import { NumberedSource, Publisher, RetainedSource } from './publishers.ts'
import { Random } from './random.ts'
import { Subscriber, Watcher } from './subscribers.ts'
import type { Victim } from './victim.ts'
import { World } from './world.ts'

export interface ScenarioOptions {
  victim: Victim
  /** Decides every choice; not when the operating system does what. */
  seed: number
  kills: number
  tolerance?: Tolerance
  /** Milliseconds from readiness to a kill, at most. */
  liveUpTo?: number
  /** Is called after each kill. */
  onKill?: (progress: Progress) => void | Promise<void>
  /** Takes the lines of the diary: what was acknowledged when, starts and kills. */
  note?: (line: string) => void
}

export interface Progress {
  kills: number
  /** Of them, those that came before the gateway was ready. */
  whileStarting: number
  books: Books
}

export interface Outcome extends Progress {
  verdict: Verdict
  /** Milliseconds that the gateway took to be ready, of each start that it survived. */
  starts: number[]
  /** Milliseconds from the last start until everybody had everything. */
  drain: number
}

/** One kill in five comes before the gateway is ready. */
const WHILE_STARTING = 0.2
/** Half of the others come this soon, in ms: what a start leaves for later is still to be done. */
const SOON = 150
/** This share of the clients misses what the gateway said last… */
const DEAF = 0.4
/** …in up to so many ms before its end: acknowledgements must be lost, too. */
const DEAF_MS = 25
/** ms to the latest kill, unless told otherwise. */
const LIVE_UP_TO = 2_000
/** ms that publishers may take to have everything acknowledged at the end. */
const FINISH_TIMEOUT = 60_000
/** ms without any delivery after which what has not come will not come… */
const SILENCE = 5_000
/** …and after which, when all is there, nothing comes twice any more. */
const CALM = 500
/** One life in three is quiet: then only those publish whose subscribers are all online, and little is written. */
const QUIET = 1 / 3
/** What the gateway says when its store is not what it was. */
const COMPLAINT = /"level":[56]0|\b(ERROR|FATAL|damaged|EMPTY)\b/

/** Runs a scenario to its verdict. Rejects when the gateway does not start, or a client of the rig itself fails. */
export async function runScenario(options: ScenarioOptions): Promise<Outcome> {
  const books = new Books()
  const world = new World({ port: options.victim.port, books, note: options.note ?? (() => {}) })
  const scenario = new Scenario({ options, books, world })
  try {
    return await scenario.run()
  } finally {
    world.end()
    await scenario.over()
  }
}

class Scenario {
  readonly #options: ScenarioOptions
  readonly #books: Books
  readonly #world: World
  readonly #random: Random
  readonly #starts: number[] = []
  #failure: unknown
  #running: Promise<void>[] = []
  #whileStarting = 0
  #isQuiet = false

  constructor(fields: { options: ScenarioOptions; books: Books; world: World }) {
    this.#options = fields.options
    this.#books = fields.books
    this.#world = fields.world
    this.#random = new Random(fields.options.seed)
  }

  async run(): Promise<Outcome> {
    const { victim, kills, onKill } = this.#options
    const publishers = [...this.#publishers(), ...this.#retainers()]
    const latecomers = this.#subscribers()
    const watcher = new Watcher({ world: this.#world, random: this.#random.fork() })
    const published = publishers.map(publisher => this.#begin(publisher))
    this.#begin(watcher)
    for (let kill = 1; kill <= kills; kill++) {
      while (latecomers[0] !== undefined && latecomers[0].at < kill) {
        this.#begin((latecomers.shift() as Latecomer).subscriber)
      }
      await this.#live()
      await onKill?.({ kills: kill, whileStarting: this.#whileStarting, books: this.#books })
    }
    this.#isQuiet = false
    await this.#start()
    const begun = this.#world.now()
    for (const publisher of publishers) publisher.finish()
    await until(() => this.#alive() && publishers.every(publisher => publisher.inFlight === 0), {
      timeout: FINISH_TIMEOUT,
      what: 'the publishers',
    }).catch(() => this.#forsaken(publishers))
    await Promise.all(publishers.every(publisher => publisher.inFlight === 0) ? published : [])
    this.#world.beginFinale()
    await this.#drain()
    const drain = this.#world.now() - begun
    await until(() => this.#alive() && watcher.look(), { what: 'a last look at the retained messages' })
    this.#listen()
    await victim.stop()
    const verdict = judge(this.#books, this.#options.tolerance)
    const progress = { kills, whileStarting: this.#whileStarting, books: this.#books }
    return { ...progress, verdict, starts: this.#starts, drain }
  }

  /** Resolves when every client has gone. */
  async over(): Promise<void> {
    await Promise.all(this.#running)
  }

  /** From a start to a kill. */
  async #live(): Promise<void> {
    const { victim, liveUpTo = LIVE_UP_TO } = this.#options
    const random = this.#random
    const usual = this.#starts.at(-1)
    this.#isQuiet = random.chance(QUIET)
    if (usual !== undefined && random.chance(WHILE_STARTING)) {
      const starting = this.#start()
      const isReady = await Promise.race([starting.then(() => true), this.#world.pause(random.next() * usual)])
      if (isReady !== true) this.#whileStarting++
      await this.#kill()
      // What is killed before it is ready says so by a rejection.
      await starting.catch(() => {})
    } else {
      await this.#start()
      await this.#world.pause(random.next() * (random.chance(0.5) ? Math.min(SOON, liveUpTo) : liveUpTo))
      await this.#kill()
    }
    this.#listen()
    if (victim.port !== this.#world.port) throw new Error('the victim has another port than before')
  }

  async #start(): Promise<void> {
    this.#alive()
    const startedAt = this.#world.now()
    this.#books.lives.push({ startedAt, killedAt: undefined })
    this.#world.note(`${startedAt} start ${this.#books.lives.length}`)
    await this.#options.victim.start()
    this.#starts.push(this.#world.now() - startedAt)
  }

  async #kill(): Promise<void> {
    const life = this.#books.lives.at(-1)
    this.#world.deafen(this.#random, DEAF)
    await this.#world.pause(this.#random.between(0, DEAF_MS))
    const killedAt = this.#world.now()
    if (life !== undefined) life.killedAt = killedAt
    await this.#options.victim.kill()
    this.#world.cutDeaf()
    this.#world.note(`${killedAt} kill ${this.#books.lives.length}`)
    await until(() => this.#world.connections === 0, { what: 'the end of all connections', every: 2 })
  }

  /** What the gateway complained of in this life. */
  #listen(): void {
    for (const line of this.#options.victim.log.split('\n')) {
      if (COMPLAINT.test(line)) this.#books.odd(`the gateway, in life ${this.#books.lives.length}: ${line.trim()}`)
    }
  }

  /** Waits until everybody has everything, or nothing comes any more. */
  async #drain(): Promise<void> {
    const count = (): number => this.#books.delivered + this.#books.repeated
    let last = count()
    let since = this.#world.now()
    for (;;) {
      await this.#world.pause(CALM / 5)
      this.#alive()
      if (count() !== last) {
        last = count()
        since = this.#world.now()
      }
      const silence = this.#world.now() - since
      if (silence > SILENCE) return
      // Only in calm: it reads all books.
      if (silence > CALM && judge(this.#books, this.#options.tolerance).missing === 0) return
    }
  }

  #forsaken(publishers: readonly Publisher[]): void {
    for (const { name, inFlight } of publishers) {
      if (inFlight > 0) this.#books.odd(`${name} still waits for the acknowledgements of ${inFlight} messages`)
    }
  }

  #begin(client: { run(): Promise<void> }): Promise<void> {
    const running = client.run().catch(error => {
      this.#failure ??= error
    })
    this.#running.push(running)
    return running
  }

  /** Throws what went wrong in the rig itself. */
  #alive(): true {
    if (this.#failure !== undefined) throw this.#failure
    return true
  }

  #publishers(): Publisher[] {
    const world = this.#world
    const isResting = (): boolean => this.#isQuiet
    const all = [
      ...PUBLISHERS.map(each => ({ ...each, topics: TOPICS, isResting })),
      ...QUIET_PUBLISHERS.map(each => ({ ...each, ...QUIET_TOPICS })),
    ]
    return all.map(each => {
      const source = new NumberedSource({ world, book: this.#books.addPublisher(each) })
      return new Publisher({ ...each, world, source, random: this.#random.fork(), rate: RATE })
    })
  }

  #retainers(): Publisher[] {
    const world = this.#world
    return RETAINERS.map(each => {
      const random = this.#random.fork()
      const books = Array.from({ length: TOPICS }, (_, topic) => this.#books.addRetained(`r/${each.name}/${topic}`))
      const source = new RetainedSource({ world, random, books })
      const isResting = (): boolean => this.#isQuiet
      return new Publisher({ ...each, world, source, random, isResting, rate: RETAINED_RATE, rest: RETAINED_REST })
    })
  }

  /** Begins those who are there from the first, and gives those who come later, with the kills that they wait for. */
  #subscribers(): Latecomer[] {
    const all = SUBSCRIBERS.map(({ late = 0, ...part }) => {
      const book = this.#books.addSubscriber(part)
      const subscriber = new Subscriber({ ...part, world: this.#world, book, random: this.#random.fork() })
      return { subscriber, at: Math.floor(late * this.#options.kills) }
    })
    for (const { subscriber, at } of all) if (at === 0) this.#begin(subscriber)
    return all.filter(({ at }) => at > 0).sort((one, other) => one.at - other.at)
  }
}

interface Latecomer {
  subscriber: Subscriber
  at: number
}
