/** What must be found in a store that is opened after a scenario, and what may not. */
import { expect } from 'vitest'
import type { Delivery } from '../../../../src/broker/ports.ts'
import type { LevelPersistence } from '../../../../src/store/persistence.ts'
import type { LevelQueue } from '../../../../src/store/queue.ts'
import { until } from '../../../support/wait.ts'
import type { Item, Life, Sent } from './model.ts'
import { PUBLISHER } from './publisher.ts'
import { expectSame, nameOf, type Rig } from './rig.ts'
import { CLIENTS, TOPICS } from './steps.ts'

/** How the store before came to its end: stopped; its process killed; its plug pulled. */
export type End = 'stop' | 'kill' | 'plug'

/** A message that is not forced to the disk is given to the kernel within a second, and the clock of the rig goes by 50 ms. */
const UNFORCED_MS = 1_050
/** What nobody waits for is written within 250 ms. */
const LAZY_MS = 350

/** Holds an opened store to the promises of the one before, and empties its queues. */
export async function holdToPromises(rig: Rig, store: LevelPersistence, end: End): Promise<void> {
  expect(store.stats.damaged, 'records that do not read').toBe(0)
  expect(store.time.now(), 'the time of the store').toBeLessThanOrEqual(rig.store.time.now() + 1)
  for (const topic of TOPICS) expectRetained(rig, store, topic, end)
  for (const clientId of CLIENTS) await expectSession(rig, store, clientId, end)
  expectReceived(rig, store, end)
  for (const packetId of rig.publisher.received.keys()) store.queues.forget(PUBLISHER, packetId, () => {})
  expect(store.stats.dangling, 'references without a message').toBe(0)
  expect([store.stats.messages, store.stats.messageBytes], 'what waits in an emptied store').toEqual([0, 0])
}

function expectRetained(rig: Rig, store: LevelPersistence, topic: string, end: End): void {
  const [found] = [...store.queues.retained(topic)]
  const payload = found?.payload.toString()
  const history = rig.publisher.retained.get(topic)
  const numbers = end === 'stop' ? [history?.last ?? null] : rig.publisher.possiblyRetained(topic)
  const known = (number: number | null) => (number === null ? undefined : rig.publisher.messages[number])
  const possible = numbers.map(number => known(number)?.payload)
  if (end === 'stop' && (known(numbers[0] as number | null)?.expiresAt ?? Infinity) <= store.time.now()) {
    possible.push(undefined)
  }
  expect(possible, `retained message of ${topic}`).toContain(payload)
}

function expectReceived(rig: Rig, store: LevelPersistence, end: End): void {
  const ids = store.queues.received(PUBLISHER)
  for (const [packetId, history] of rig.publisher.received) {
    const possible = end === 'stop' ? [history.last] : history.possible(rig.now)
    const states = possible.map(number => number !== null)
    expect(states, `identifier ${packetId} is recorded (${possible})`).toContain(ids.has(packetId))
  }
}

async function expectSession(rig: Rig, store: LevelPersistence, clientId: string, end: End): Promise<void> {
  const queue = store.queues.find(clientId) as LevelQueue | undefined
  const presence = rig.present.get(clientId)
  const possible = end === 'stop' ? [presence?.last] : presence?.possible(rig.now)
  expect(possible, `session of ${clientId}`).toContain(queue?.session ?? null)
  const life = rig.lives.get(clientId)?.find(({ number }) => number === queue?.session)
  if (queue === undefined || life === undefined) return
  await expectSubscriptions(rig, store, life, end)
  if (end === 'stop') expectCounts(store, queue, life)
  const found = await takeAll(queue)
  expectDeliveries(rig, store, life, found, end)
  if (end !== 'stop') expectWhole(rig, store, life, found)
  for (const delivery of found.values()) queue.remove(delivery)
  const isEmpty = () => queue.take() === undefined && queue.count === 0 && queue.bytes === 0
  const what = () => `${nameOf(life)} to be empty; it has ${queue.count} messages of ${queue.bytes} bytes`
  await until(isEmpty, { what, every: 1, timeout: 2_000 })
}

async function expectSubscriptions(rig: Rig, store: LevelPersistence, life: Life, end: End): Promise<void> {
  const found = await store.subscriptionsByClient({ id: life.queue.clientId })
  const granted = new Map(found.map(({ topic, qos }) => [topic, qos]))
  for (const [filter, history] of life.filters) {
    const possible = end === 'stop' ? [history.last] : history.possible(rig.now)
    expect(possible, `${nameOf(life)}: subscription to ${filter}`).toContain(granted.get(filter) ?? null)
  }
}

/** The queue counts what waits; of what has expired, some may be gone. */
export function expectCounts(store: LevelPersistence, queue: LevelQueue, life: Life): void {
  const mayBeGone = (item: Item) => item.message.expiresAt <= store.time.now()
  const all = life.waiting
  const certain = all.filter(item => !mayBeGone(item))
  const bytes = (items: Item[]) => items.reduce((sum, item) => sum + item.message.size, 0)
  expect(queue.count, `${nameOf(life)}: count`).toBeGreaterThanOrEqual(certain.length)
  expect(queue.count, `${nameOf(life)}: count`).toBeLessThanOrEqual(all.length)
  expect(queue.bytes, `${nameOf(life)}: bytes`).toBeGreaterThanOrEqual(bytes(certain))
  expect(queue.bytes, `${nameOf(life)}: bytes`).toBeLessThanOrEqual(bytes(all))
}

async function takeAll(queue: LevelQueue): Promise<Map<number, Delivery>> {
  const found = new Map<number, Delivery>()
  let last = -1
  queue.attach(() => {})
  // Whether there is more is known when it was looked for on disk.
  const ids = new Set<number>()
  for await (const ref of queue.all()) ids.add(ref.index)
  for (;;) {
    const delivery = queue.take()
    if (delivery === undefined) {
      if (![...ids].some(index => index > last && queue.has(index))) return found
      await new Promise(resolve => setImmediate(resolve))
      continue
    }
    expect(delivery.index, 'order').toBeGreaterThan(last)
    last = delivery.index
    found.set(delivery.index, delivery)
  }
}

function expectDeliveries(rig: Rig, store: LevelPersistence, life: Life, found: Map<number, Delivery>, end: End): void {
  let isPresentFrom = -1
  for (const index of found.keys()) isPresentFrom = Math.max(isPresentFrom, index)
  for (const [index, delivery] of found) {
    const what = `${nameOf(life)}, place ${index}, after the restart`
    const item = life.items[index]
    if (item === undefined) throw new Error(`${what}: was never published`)
    expectSame(what, item, delivery)
    if (item.release === 'done') expect(delivery.released, `${what}: PUBREL was sent`).toBeDefined()
    if (item.release === 'no') expect(delivery.released, `${what}: no PUBREC came`).toBeUndefined()
    if (end === 'stop') {
      expect(item.removed, `${what}: was acknowledged`).toBe(false)
    }
    if (delivery.dup) expect(item.takenAt, `${what}: DUP`).toBeDefined()
    else if (mustBeDup(rig, item, end)) expect.unreachable(`${what}: was sent before, and is not marked DUP`)
    const isOver = item.message.expiresAt <= store.time.now()
    if (isOver && !delivery.dup) expect(delivery.released, `${what}: expired`).toBeDefined()
  }
  for (const item of life.items) {
    if (found.has(item.index) || item.removed || isExpired(rig, item)) continue
    const what = `${nameOf(life)}, place ${item.index}`
    if (mustBeThere(rig, life, item, end)) expect.unreachable(`${what}: was promised and is gone`)
    if (item.index < isPresentFrom) expect.unreachable(`${what}: is gone, and a later one is not`)
  }
}

/** A message without its packet identifier would come twice, an identifier without its message swallow it. */
function expectWhole(rig: Rig, store: LevelPersistence, life: Life, found: Map<number, Delivery>): void {
  const ids = store.queues.received(PUBLISHER)
  for (const { index, message, removed, isCopy } of life.items) {
    if (removed || isCopy || message.packetId === undefined || life.isEnding) continue
    if (rig.publisher.received.get(message.packetId)?.last !== message.number) continue
    if (message.expiresAt <= rig.store.time.now()) continue
    const isRecorded = ids.has(message.packetId)
    expect(found.has(index), `${nameOf(life)}, place ${index}: there with its identifier`).toBe(isRecorded)
  }
}

function mustBeThere(rig: Rig, life: Life, { message, qos, isCopy }: Item, end: End): boolean {
  if (end === 'stop') return true
  if (life.isEnding || isCopy || qos === 0 || message.settledAt === undefined) return false
  return message.settledAt + lossWindow(rig, message, end) <= rig.now
}

/** That it was sent is written soon after; a pulled plug may take it, a kill no more than what the last moment brought. */
function mustBeDup(rig: Rig, { takenAt, qos }: Item, end: End): boolean {
  if (takenAt === undefined || qos === 0 || end === 'plug') return false
  return end === 'stop' || takenAt + LAZY_MS <= rig.now
}

/** ms before its end from which the store may have lost a message. */
function lossWindow(rig: Rig, message: Sent, end: End): number {
  const { window } = rig.scenario
  // QoS 2 is durable whatever was set.
  if (message.qos === 2) return 0
  if (window !== Number.POSITIVE_INFINITY) return window
  return end === 'kill' ? UNFORCED_MS : window
}

/** Its time was over while the store before was there. */
function isExpired(rig: Rig, { message, release }: Item): boolean {
  return release !== 'done' && message.expiresAt <= rig.store.time.now()
}
