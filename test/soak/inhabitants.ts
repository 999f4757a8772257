/**
 * Those who come and go: regulars, whose sessions wait for them (now and then for so long that their queues
 * overflow); visitors, who leave nothing but a will; passers-by, whose sessions expire behind them; a crew that shares
 * its work. Each lives until the household's end and then leaves what a client leaves.
 */
import type { Random } from '../torture/random.ts'
import type { Household } from './household.ts'

/** Longest expiry of a session and delay of a will, in seconds: all are over soon after the end. */
export const LONGEST_EXPIRY = 3
/** Session Expiry Interval of a session that does not expire (MQTT 5 §3.1.2.11.2). */
const NO_EXPIRY = 0xffffffff

const REGULARS = 12
const CREW = 3
export const ROOMS = 4
export const WILL_TOPICS = 50

const regularIds = Array.from({ length: REGULARS }, (_, i) => `regular-${i}`)
const crewIds = Array.from({ length: CREW }, (_, i) => `crew-${i}`)

/** Every session that stays when its client goes, with its version. */
export const LASTING: readonly { clientId: string; version: 4 | 5 }[] = [...regularIds, ...crewIds].map(
  (clientId, i) => ({ clientId, version: versionOf(i) }),
)

function versionOf(i: number): 4 | 5 {
  return i % 2 === 0 ? 4 : 5
}

/** Starts everybody; resolves when all have left. Rejects when one was treated as no client should be. */
export async function inhabit(household: Household, random: Random): Promise<void> {
  const lives = [
    ...regularIds.map((clientId, i) => regular(household, random.fork(), clientId, i)),
    ...crewIds.map((clientId, i) => worker(household, random.fork(), clientId, i)),
    ...Array.from({ length: 8 }, (_, i) => visitors(household, random.fork(), i)),
    ...Array.from({ length: 4 }, (_, i) => passersBy(household, random.fork(), i)),
  ]
  await Promise.all(lives)
}

async function regular(household: Household, random: Random, clientId: string, i: number): Promise<void> {
  while (!household.isOver) {
    const { client, resumed } = await household.enter({
      clientId,
      version: versionOf(i),
      clean: false,
      expiry: NO_EXPIRY,
    })
    if (!resumed) {
      await client.subscribe(
        { topic: `soak/telemetry/${i % ROOMS}/#`, qos: 1 },
        { topic: 'soak/order/#', qos: i % 3 === 0 ? 2 : 1 },
      )
    }
    for (let turn = random.between(1, 5); turn > 0 && !household.isOver; turn--) {
      const topic = `soak/extra/${random.between(0, 100)}/+`
      await client.subscribe({ topic, qos: random.chance(0.5) ? 1 : 0 })
      await household.pause(random, 200, 1_500)
      const messageId = client.nextPacketId()
      client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [topic] })
      await client.next('unsuback', messageId)
    }
    if (random.chance(0.3)) await client.cut()
    else await client.disconnect()
    if (random.chance(0.1)) await household.pause(random, 6_000, 12_000)
    else await household.pause(random, 300, 3_000)
  }
}

async function worker(household: Household, random: Random, clientId: string, i: number): Promise<void> {
  while (!household.isOver) {
    const version = versionOf(REGULARS + i)
    const { client, resumed } = await household.enter({ clientId, version, clean: false, expiry: NO_EXPIRY })
    if (!resumed) await client.subscribe({ topic: '$share/crew/soak/work/#', qos: 1 })
    await household.pause(random, 1_000, 5_000)
    await client.cut()
    await household.pause(random, 200, 2_000)
  }
}

async function visitors(household: Household, random: Random, i: number): Promise<void> {
  for (let visit = 0; !household.isOver; visit++) {
    const topic = `soak/will/${random.between(0, WILL_TOPICS)}`
    const will = { topic, payload: 'gone', qos: random.between(0, 3) as 0 | 1 | 2, retain: random.chance(0.5) }
    const { client } = await household.enter({
      clientId: `visitor-${i}-${visit}`,
      version: versionOf(visit),
      clean: true,
      ...(random.chance(0.7) ? { will } : {}),
    })
    await client.subscribe(
      { topic: 'soak/will/+', qos: 1 },
      { topic: 'soak/state/+', qos: 1 },
      { topic: `soak/telemetry/${random.between(0, ROOMS)}/#`, qos: 0 },
    )
    for (let message = 0; message < 5; message++) {
      client.send({
        cmd: 'publish',
        topic: `soak/extra/${message}/x`,
        payload: 'hello',
        qos: 0,
        retain: false,
        dup: false,
      })
      household.counts.published++
    }
    await household.pause(random, 200, 2_000)
    if (random.chance(0.5)) await client.cut()
    else await client.disconnect()
  }
}

async function passersBy(household: Household, random: Random, i: number): Promise<void> {
  for (let passage = 0; !household.isOver; passage++) {
    const expiry = random.between(1, LONGEST_EXPIRY + 1)
    const willDelayInterval = random.between(0, LONGEST_EXPIRY + 1)
    const will = {
      topic: `soak/will/${random.between(0, WILL_TOPICS)}`,
      payload: 'gone',
      qos: 1,
      retain: false,
      properties: { willDelayInterval },
    } as const
    const { client } = await household.enter({
      clientId: `passer-${i}-${passage}`,
      version: 5,
      clean: true,
      expiry,
      will,
    })
    await client.subscribe({ topic: `soak/telemetry/${random.between(0, ROOMS)}/#`, qos: 1 })
    await household.pause(random, 200, 1_500)
    await client.cut()
    household.counts.abandoned++
    await household.pause(random, 100, 500)
  }
}
