/**
 * The store against a plain model: random publishing, sending, acknowledging, coming, going, discarding and
 * restarting. Every session is sent exactly what it has not acknowledged, in order; and when all is
 * acknowledged, nothing is left on disk.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import { expect, test } from 'vitest'
import type { Delivery, SessionQueue } from '../../../src/broker/ports.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import { testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

const SESSIONS = ['kitchen', 'hall', 'kitchen2'] as const
/** Larger than a page of the store, so that reading ahead is part of the game. */
const BURST = 700

type Step =
  | { do: 'publish'; to: number[]; qos: 1 | 2; count: number }
  | { do: 'attach' | 'detach' | 'discard'; session: number }
  | { do: 'take'; session: number; count: number }
  | { do: 'acknowledge'; session: number; pick: number; count: number }
  | { do: 'restart' }

const session = fc.nat({ max: SESSIONS.length - 1 })
const qos = fc.constantFrom<(1 | 2)[]>(1, 2)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      to: fc.uniqueArray(session, { minLength: 1 }),
      qos,
      count: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 20 }) }, fc.constant(BURST)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('attach' as const, 'detach' as const), session }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard' as const), session }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('take' as const), session, count: fc.integer({ min: 1, max: 900 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('acknowledge' as const),
      session,
      pick: fc.nat({ max: 50 }),
      count: fc.integer({ min: 1, max: 900 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'restart' as const }) },
)

const OUT_OF_TURN: Step[] = [
  { do: 'publish', to: [0, 1], qos: 2, count: 3 },
  { do: 'attach', session: 1 },
  { do: 'take', session: 1, count: 3 },
  { do: 'acknowledge', session: 1, pick: 1, count: 1 },
  { do: 'restart' },
]

/** What one session should hold. */
class Model {
  /** Published to it and not acknowledged, in order. */
  waiting: string[] = []
  /** Of those, sent on this connection. */
  sent: Delivery[] = []
  isAttached = false
}

class Rig {
  readonly dataDir: string
  readonly models = SESSIONS.map(() => new Model())
  persistence!: LevelPersistence
  queues: SessionQueue[] = []
  #published = 0
  readonly settled = new Set<number>()

  constructor(dataDir: string) {
    this.dataDir = dataDir
  }

  async open(): Promise<void> {
    this.persistence = testStore(this.dataDir, { commitDelay: 1 })
    await this.persistence.setup({ id: 'rig' })
    this.queues = await Promise.all(SESSIONS.map(clientId => this.persistence.queues.open(clientId)))
  }

  async run(command: Step): Promise<void> {
    switch (command.do) {
      case 'publish':
        for (let i = 0; i < command.count; i++) this.#publish(command.to, command.qos)
        return
      case 'attach':
        this.#model(command.session).sent = []
        this.#model(command.session).isAttached = true
        this.#queue(command.session).attach(() => {})
        return
      case 'detach':
        this.#model(command.session).sent = []
        this.#model(command.session).isAttached = false
        this.#queue(command.session).detach()
        return
      case 'discard': {
        const clientId = SESSIONS[command.session] as string
        await this.persistence.queues.discard(clientId)
        Object.assign(this.#model(command.session), new Model())
        this.queues[command.session] = await this.persistence.queues.open(clientId)
        return
      }
      case 'take':
        await this.#take(command.session, command.count)
        return
      case 'acknowledge':
        this.#acknowledge(command)
        return
      case 'restart':
        await this.persistence.destroy()
        // What was published before is settled by now, whoever waits for it.
        expect(this.settled.size).toBe(this.#published)
        await this.open()
        for (const model of this.models) Object.assign(model, { sent: [], isAttached: false })
    }
  }

  /** Everything is taken and acknowledged: nothing must be left, in memory or on disk. */
  async drain(): Promise<void> {
    for (const index of SESSIONS.keys()) {
      await this.run({ do: 'attach', session: index })
      await this.#take(index, Number.POSITIVE_INFINITY)
      this.#acknowledge({ session: index, pick: 0, count: Number.POSITIVE_INFINITY })
      expect(this.#queue(index).count).toBe(0)
    }
    await this.persistence.destroy()
    // What a discarded session leaves is removed page by page; a stop interrupts that, and the next start goes on with it.
    await until(() => this.#isPurged(), { what: 'what discarded sessions left to be removed' })
  }

  async #isPurged(): Promise<boolean> {
    if ((await this.#left()).length === 0) return true
    await this.open()
    await this.persistence.queues.discard('nobody')
    await this.persistence.destroy()
    return false
  }

  /** Keys of messages and references on disk. */
  async #left(): Promise<string[]> {
    const database = new Level<string, Buffer>(join(this.dataDir, 'store'), { valueEncoding: 'buffer' })
    const left = (await database.keys().all()).filter(key => key.startsWith('q') || key.startsWith('b'))
    await database.close()
    return left
  }

  #publish(to: number[], qos: 1 | 2): void {
    const number = this.#published++
    const text = `message ${number}`
    const message = Message.of({ topic: 'home/bread', payload: Buffer.from(text), qos, retain: false })
    for (const index of to) this.#model(index).waiting.push(text)
    const grants = grantsOf([{ topic: message.topic, qos }])
    const targets = to.map(index => ({ queue: this.#queue(index), grants, isShared: false }))
    this.persistence.queues.accept(message, targets, {
      settled: () => this.settled.add(number),
      refused: () => expect.unreachable(),
    })
  }

  async #take(index: number, count: number): Promise<void> {
    const model = this.#model(index)
    if (!model.isAttached) return
    const queue = this.#queue(index)
    while (model.sent.length < Math.min(count, model.waiting.length)) {
      // Undefined only means that it must be read, or become durable, first.
      const delivery = await until(() => queue.take(), { what: 'the next message', every: 1 })
      expect(delivery.message.payload.toString()).toBe(model.waiting[model.sent.length])
      model.sent.push(delivery)
    }
    if (model.sent.length === model.waiting.length) expect(queue.take()).toBeUndefined()
  }

  #acknowledge({ session: index, pick, count }: { session: number; pick: number; count: number }): void {
    const model = this.#model(index)
    const from = Math.min(pick, model.sent.length)
    const acknowledged = model.sent.splice(from, count)
    model.waiting.splice(from, acknowledged.length)
    for (const delivery of acknowledged) this.#queue(index).remove(delivery)
    expect(this.#queue(index).count).toBe(model.waiting.length)
  }

  #model(index: number): Model {
    return this.models[index] as Model
  }

  #queue(index: number): SessionQueue {
    return this.queues[index] as SessionQueue
  }
}

test('sessions are sent what they have not acknowledged, in order, and nothing is left behind', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async steps => {
      const dataDir = await mkdtemp(join(tmpdir(), 'larder-queues-'))
      try {
        const rig = new Rig(dataDir)
        await rig.open()
        for (const command of steps) await rig.run(command)
        await rig.drain()
      } finally {
        await rm(dataDir, { recursive: true, force: true })
      }
    }),
    // One session has the second message before the first, and a restart forgets that: the other one's acknowledgement must not leave it.
    { numRuns: Number(process.env.LARDER_QUEUE_RUNS ?? 40), examples: [[OUT_OF_TURN]] },
  )
})
