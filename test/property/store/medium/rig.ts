/**
 * Plays a scenario on a store over a faulty medium, and keeps the model of what the store owes. It behaves as the
 * broker does: nothing is sent that the store did not hand out, PUBREL follows a durable PUBREC. What the store hands
 * out is checked on the spot.
 */
import { expect } from 'vitest'
import type { Delivery } from '../../../../src/broker/ports.ts'
import { silentLog } from '../../../../src/kernel/log.ts'
import type { QoS } from '../../../../src/mqtt/packets.ts'
import type { LevelPersistence } from '../../../../src/store/persistence.ts'
import type { LevelQueue } from '../../../../src/store/queue.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { testStore } from '../../../support/store.ts'
import { type Fault, Medium } from './faults.ts'
import { append, History, type Item, Life } from './model.ts'
import { Publisher } from './publisher.ts'
import { CLIENTS, FILTERS, type Scenario, type Step } from './steps.ts'

/** ms of the clock between two looks at the disk, which has a time of its own. */
const SLICE = 50
/** Turns of the event loop without a write, after which nothing more is expected. */
const QUIET_TURNS = 4
/** Turns for which a page that is read is waited for, before the clock moves on: reading may be tried again then. */
const READING_TURNS = 200
/** ms of the clock that a message which must come may take. */
const PATIENCE = 20_000

export class Rig {
  readonly scenario: Scenario
  readonly medium: Medium
  readonly clock = new ManualClock()
  readonly store: LevelPersistence
  readonly publisher: Publisher
  /** Every session that was, by client; the last is the present one. */
  readonly lives = new Map<string, Life[]>()
  /** The store's number of the session that a client has. */
  readonly present = new Map<string, History<number | null>>()
  #isDead = false

  constructor(scenario: Scenario, fault: Fault, dataDir: string) {
    this.scenario = scenario
    this.medium = new Medium(fault)
    this.store = testStore(
      dataDir,
      { commitDelay: 5, durability: { window: scenario.window, rules: [] }, queueQos0: scenario.queueQos0 },
      { clock: this.clock, log: silentLog, writer: disk => this.medium.wrap(disk) },
    )
    this.publisher = new Publisher({
      scenario,
      store: this.store,
      now: () => this.now,
      alive: happens => this.#alive(happens),
      sessions: () => CLIENTS.map(clientId => this.usable(clientId)).filter(life => life !== undefined),
      // That there is no room it may say only after a fault.
      mayRefuse: () => this.medium.failures > 0,
    })
  }

  get now(): number {
    return this.clock.monotonic()
  }

  /** Opens the store and makes the sessions, before there are faults. */
  async begin(): Promise<void> {
    await this.store.setup({ id: 'rig' })
    for (const [i, clientId] of CLIENTS.entries()) {
      this.lives.set(clientId, [])
      this.present.set(clientId, new History<number | null>(null))
      this.#open(clientId)
      await this.quiet()
      this.#subscribe(this.#life(i) as Life, FILTERS[i] as string, 2)
    }
    await this.quiet()
    this.medium.arm()
  }

  /** Plays the steps, or those before the plug is pulled. */
  async play(): Promise<void> {
    for (const step of this.scenario.steps) {
      if (this.medium.isPlugged) return
      await this.#do(step)
      if (step.rest === 'turn') await turn()
      else if (step.rest === 'quiet') await this.quiet()
      this.medium.tick()
    }
    await this.quiet()
  }

  /** The process is gone: nothing that happens from now on was seen by anybody. */
  async die(): Promise<void> {
    this.#isDead = true
    await this.store.destroy()
  }

  /** Waits until the medium has nothing to do, without moving the clock. */
  async quiet(): Promise<void> {
    for (let turns = 0; turns < QUIET_TURNS; turns++) {
      await turn()
      if (this.medium.inFlight > 0) turns = 0
    }
  }

  async advance(by: number): Promise<void> {
    for (let left = by; left > 0 && !this.medium.isPlugged; left -= SLICE) {
      await this.clock.advance(Math.min(SLICE, left))
      await this.quiet()
    }
  }

  /** The session that a client has and may use. */
  usable(clientId: string): Life | undefined {
    const life = this.lives.get(clientId)?.at(-1)
    return life === undefined || life.isEnding ? undefined : life
  }

  isExpired({ message, takenAt, release }: Item): boolean {
    return takenAt === undefined && release === 'no' && message.expiresAt <= this.store.time.now()
  }

  async #do(step: Step): Promise<void> {
    switch (step.do) {
      case 'publish':
        for (let i = 0; i < step.count; i++) this.publisher.publish(step)
        return
      case 'pubrel':
        this.publisher.pubrel(step.pick)
        return
      case 'advance':
        await this.advance(step.by)
        return
      case 'discard':
        this.#discard(CLIENTS[step.client] as string)
        return
      default: {
        const life = this.#life(step.client)
        if (life !== undefined) await this.#doIn(life, step)
      }
    }
  }

  async #doIn(life: Life, step: Exclude<Step, { do: 'publish' | 'pubrel' | 'advance' | 'discard' }>): Promise<void> {
    switch (step.do) {
      case 'attach':
        if (!life.isAttached) this.attach(life)
        return
      case 'detach':
        if (life.isAttached) this.#detach(life)
        return
      case 'take':
        if (life.isAttached) await this.take(life, step.count)
        return
      case 'acknowledge':
        this.acknowledge(life, step.pick, step.count)
        return
      case 'subscribe':
        this.#subscribe(life, FILTERS[step.filter] as string, step.qos)
        return
      case 'unsubscribe': {
        const filter = FILTERS[step.filter] as string
        if ((life.filter(filter).last ?? null) === null) return
        const sure = life.filter(filter).set(null)
        void this.store
          .removeSubscriptions({ id: life.queue.clientId }, [filter])
          .then(() => this.#alive(() => sure(this.now)))
      }
    }
  }

  attach(life: Life): void {
    life.isAttached = true
    life.cursor = 0
    life.queue.attach(() => {})
  }

  #detach(life: Life): void {
    life.isAttached = false
    for (const item of life.items) item.delivery = undefined
    life.queue.detach()
  }

  /** Takes what there is, `count` at most, and holds it to the model. */
  async take(life: Life, count: number): Promise<void> {
    const begun = this.now
    for (let taken = 0, turns = 0; taken < count && !this.medium.isPlugged; ) {
      const delivery = life.queue.take()
      if (delivery !== undefined) {
        this.#taken(life, delivery)
        taken++
        turns = 0
        continue
      }
      if (!this.#mustCome(life)) return
      await turn()
      if (++turns % READING_TURNS === 0) await this.advance(SLICE)
      if (this.now - begun > PATIENCE) expect.unreachable(`${nameOf(life)}: a message that waits does not come`)
    }
  }

  /** True when the next message is there and can be sent now. */
  #mustCome(life: Life): boolean {
    for (const item of life.items.slice(life.cursor)) {
      if (item.removed) continue
      // QoS 2 is sent when it is durable, which of a copy nobody is told.
      if (item.message.qos === 2 && (item.isCopy || item.message.settledAt === undefined)) return false
      if (!this.isExpired(item)) return true
    }
    return false
  }

  #taken(life: Life, delivery: Delivery): void {
    const what = `${nameOf(life)}, place ${delivery.index}`
    const item = life.items[delivery.index]
    if (item === undefined) throw new Error(`${what}: was never published`)
    for (let index = life.cursor; index < delivery.index; index++) {
      const passed = life.items[index] as Item
      if (passed.removed) continue
      expect(this.isExpired(passed), `${nameOf(life)}: place ${index} was passed over`).toBe(true)
      passed.removed = true
    }
    expect(delivery.index, `${what}: came again`).toBeGreaterThanOrEqual(life.cursor)
    expect(item.removed, `${what}: was acknowledged`).toBe(false)
    expectSame(what, item, delivery)
    expect(delivery.dup, `${what}: DUP`).toBe(item.takenAt !== undefined)
    if (item.release === 'done') expect(delivery.released, `${what}: PUBREL is owed`).toBeDefined()
    // Now PUBREL is sent, and may not be unsaid.
    else if (delivery.released !== undefined) item.release = 'done'
    if (item.qos === 2 && !item.isCopy) {
      expect(item.message.settledAt, `${what}: QoS 2 before it is durable`).toBeDefined()
    }
    life.cursor = delivery.index + 1
    item.takenAt ??= this.now
    item.delivery = delivery
    if (item.qos > 0) return
    item.removed = true
    life.queue.remove(delivery)
  }

  /** Answers for some of what was sent on this connection, from the `pick`th on. */
  acknowledge(life: Life, pick: number, count: number): void {
    const sent = life.items.filter(item => item.delivery !== undefined && !item.removed)
    for (const item of sent.slice(pick, pick + count)) {
      const delivery = item.delivery as Delivery
      if (item.qos === 1 || item.release === 'done') {
        item.removed = true
        life.queue.remove(delivery)
      } else if (item.release === 'no') {
        item.release = 'asked'
        life.queue.release(delivery, () =>
          this.#alive(() => {
            item.release = 'done'
          }),
        )
      }
    }
  }

  #discard(clientId: string): void {
    const life = this.usable(clientId)
    if (life === undefined) return
    life.isEnding = true
    life.isAttached = false
    const sure = this.#presence(clientId).set(null)
    void this.store.queues.discard(clientId).then(() =>
      this.#alive(() => {
        sure(this.now)
        this.#open(clientId)
      }),
    )
  }

  #open(clientId: string): void {
    const opening = this.store.queues.open(clientId)
    const queue = this.store.queues.find(clientId) as LevelQueue
    const sure = this.#presence(clientId).set(queue.session)
    this.lives.get(clientId)?.push(new Life(queue, queue.session))
    void opening.then(() => this.#alive(() => sure(this.now)))
  }

  #subscribe(life: Life, filter: string, qos: QoS): void {
    const { queues } = this.store
    const sure = life.filter(filter).set(qos)
    const done = this.store.addSubscriptions({ id: life.queue.clientId }, [{ topic: filter, qos }])
    void done.then(() => this.#alive(() => sure(this.now)))
    const grant = { qos, rap: false, subscriptionIdentifiers: undefined }
    for (const message of queues.retained(filter)) {
      const granted = Math.min(qos, message.qos) as QoS
      if (granted === 0) continue
      append(life, this.publisher.retainedOf(message.topic), granted, true)
      queues.acceptRetained(message, life.queue, grant)
    }
  }

  #alive(happens: () => void): void {
    if (!this.#isDead && !this.medium.isPlugged) happens()
  }

  #life(client: number): Life | undefined {
    return this.usable(CLIENTS[client] as string)
  }

  #presence(clientId: string): History<number | null> {
    return this.present.get(clientId) as History<number | null>
  }
}

/** The delivery is what was published. */
export function expectSame(what: string, { message, qos, isCopy }: Item, delivery: Delivery): void {
  const { topic, payload } = delivery.message
  expect({ topic, payload: payload.toString(), qos: delivery.qos, retain: delivery.retain }, what).toEqual({
    topic: message.topic,
    payload: message.payload,
    qos,
    retain: isCopy,
  })
}

export function nameOf(life: Life): string {
  return `session ${life.number} of ${life.queue.clientId}`
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
