/**
 * Those who talk all the time: telemetry, orders and work at every QoS, some of it with an expiry; states that are
 * set and taken back; and topics that never were before, so that every cache of topics is filled to its bound and over
 * it again and again.
 */
import type { IPublishPacket, QoS } from 'mqtt-packet'
import type { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'
import type { Random } from '../torture/random.ts'
import type { Household } from './household.ts'
import { ROOMS } from './inhabitants.ts'

export const STATE_TOPICS = 200
const PUBLISHERS = 3
/** ms between two turns of a publisher. */
const TURN = 20
/** Messages of a publisher in a second. */
const RATE = 150
/** Messages that a publisher has not been acknowledged, beyond which it waits. */
const MAX_WAITING = 200
/** The gateway's caches hold so many topics… */
const CACHED_TOPICS = 32_768
/** …and are filled so often in a quarter of the run. */
const FILLINGS = 2
/** ms for what is under way at the end. */
const PATIENCE = 30_000

export async function publish(household: Household, random: Random): Promise<void> {
  const fresh = (CACHED_TOPICS * FILLINGS) / (household.seconds / 4)
  await Promise.all([
    ...Array.from({ length: PUBLISHERS }, (_, i) => publisher(household, random.fork(), i)),
    explorer(household, random.fork(), fresh),
  ])
}

async function publisher(household: Household, random: Random, i: number): Promise<void> {
  const version = i === 0 ? 4 : 5
  const { client } = await household.enter({ clientId: `publisher-${i}`, version, clean: true })
  const waiting = waitingOf(household, client)
  let owed = 0
  for (let last = performance.now(); !household.isOver; ) {
    await household.pause(random, TURN, TURN + 1)
    const now = performance.now()
    owed = Math.min(owed + ((now - last) / 1_000) * RATE, RATE)
    last = now
    for (; owed >= 1; owed--) {
      if (waiting.size >= MAX_WAITING) break
      send(client, waiting, something(random, version))
      household.counts.published++
    }
  }
  await until(() => waiting.size === 0, {
    what: () => `the acknowledgements of ${waiting.size} messages of publisher ${i}`,
    timeout: PATIENCE,
  })
  await client.disconnect()
}

function something(random: Random, version: 4 | 5): Omit<IPublishPacket, 'messageId'> {
  const dice = random.next()
  const qos: QoS = dice < 0.4 ? 0 : dice < 0.85 ? 1 : 2
  const expires = version === 5 && random.chance(0.3)
  const common = {
    cmd: 'publish',
    qos,
    dup: false,
    retain: false,
    payload: Buffer.alloc(random.between(10, 300), 'x'),
    ...(expires ? { properties: { messageExpiryInterval: random.between(1, 3) } } : {}),
  } as const
  const kind = random.next()
  if (kind < 0.55) return { ...common, topic: `soak/telemetry/${random.between(0, ROOMS)}/${random.between(0, 100)}` }
  if (kind < 0.65) return { ...common, topic: `soak/work/${random.between(0, 20)}` }
  if (kind < 0.75) return { ...common, topic: `soak/order/${random.between(0, 20)}` }
  if (kind < 0.85) return { ...common, topic: `soak/extra/${random.between(0, 100)}/x` }
  if (kind < 0.95) return { ...common, topic: `/Home/Attic/${random.between(0, 20)}` } // for the bridge
  const topic = `soak/state/${random.between(0, STATE_TOPICS)}`
  return { ...common, topic, retain: true, ...(random.chance(0.3) ? { payload: '' } : {}) }
}

/** Publishes on a topic that never was before, `rate` times a second. */
async function explorer(household: Household, random: Random, rate: number): Promise<void> {
  const { client } = await household.enter({ clientId: 'explorer', version: 4, clean: true })
  const waiting = waitingOf(household, client)
  const begun = performance.now()
  for (let topics = 0; !household.isOver; ) {
    await household.pause(random, TURN, TURN + 1)
    for (; topics < ((performance.now() - begun) / 1_000) * rate; topics++) {
      const qos = topics % 10 === 0 && waiting.size < MAX_WAITING ? 1 : 0
      send(client, waiting, {
        cmd: 'publish',
        topic: `soak/fresh/${topics}`,
        payload: '',
        qos,
        retain: false,
        dup: false,
      })
      household.counts.published++
    }
  }
  await until(() => waiting.size === 0, { what: 'the acknowledgements of the explorer', timeout: PATIENCE })
  await client.disconnect()
}

/** The packet identifiers of what the client published that is not acknowledged yet; answers PUBREC. */
function waitingOf(household: Household, client: RawClient): Set<number> {
  const waiting = new Set<number>()
  client.onPacket = packet => {
    household.hear(packet)
    const { messageId = 0 } = packet
    if (packet.cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId })
    if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') waiting.delete(messageId)
  }
  return waiting
}

function send(client: RawClient, waiting: Set<number>, packet: Omit<IPublishPacket, 'messageId'>): void {
  if (packet.qos === 0) {
    client.send(packet as IPublishPacket)
    return
  }
  let messageId = client.nextPacketId()
  while (waiting.has(messageId)) messageId = client.nextPacketId()
  waiting.add(messageId)
  client.send({ ...packet, messageId } as IPublishPacket)
}
