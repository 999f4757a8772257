/**
 * What is written to the card, and when. A message that its subscribers took at once is never written;
 * one that somebody who is away waits for is on disk before its publisher is acknowledged.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { folderBytes, storageBytes, writtenBytes } from '../support/procfs.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const COUNT = 10_000
const WINDOW = 50
/** Bytes of a payload. With topic and bookkeeping a stored message takes more than that, never less. */
const PAYLOAD = 64
/** "Nearly none": what a message may cost on average when everybody is there. Stored, it costs well over 64. */
const NEARLY_NONE = 5
/** Measurements at most, of which the cheapest counts. */
const ROUNDS = 3
/** Rounds of the single message that is acknowledged, followed by the kill. */
const KILLS = 12
const LONG = 60_000

const TOPIC = 'elision/reading'
const payloadOf = (number: number): string => String(number).padStart(PAYLOAD, '0')
const published = (count = COUNT): Ledger =>
  new Ledger({ clientId: 'publisher', count, window: WINDOW, topicOf: () => TOPIC, payloadOf })

interface Counters {
  /** Pages made dirty for storage, by the kernel's account. */
  storage: number
  /** Everything given to write(2): storage, sockets and wake-ups. */
  written: number
  /** The store's files. */
  folder: number
}

async function counters(gateway: Gateway): Promise<Counters> {
  return {
    storage: await storageBytes(gateway.pid),
    written: await writtenBytes(gateway.pid),
    folder: await folderBytes(gateway.dataDir),
  }
}

/** Counts once they stand still: the last commit may be on its way when the last acknowledgement is here. */
async function settled(gateway: Gateway): Promise<Counters> {
  let before = await counters(gateway)
  let same = 0
  await until(
    async () => {
      const now = await counters(gateway)
      same = now.storage === before.storage && now.folder === before.folder ? same + 1 : 0
      before = now
      return same >= 10
    },
    { what: 'the gateway to write nothing for half a second', every: 50, timeout: LONG },
  )
  return before
}

function perMessage(before: Counters, after: Counters, count: number): Counters {
  return {
    storage: (after.storage - before.storage) / count,
    written: (after.written - before.written) / count,
    folder: (after.folder - before.folder) / count,
  }
}

function tell(what: string, { storage, written, folder }: Counters): void {
  const round = (bytes: number): string => bytes.toFixed(2)
  console.log(
    `${what}: bytes a message: ${round(storage)} to storage, ${round(folder)} in the store's files, ` +
      `${round(written)} through write() (sockets included)`,
  )
}

let gateway: Gateway | undefined
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]()
  gateway = undefined
})
async function fresh(): Promise<Gateway> {
  gateway = await startGateway({ config: 'name: Test' })
  return gateway
}

describe('with the persistent subscriber there', () => {
  /** The cheapest of some rounds: a stall of this machine keeps a subscriber from answering in time, and costs. */
  async function cheapest(
    gateway: Gateway,
    who: string,
    receivedAll: (count: number) => Promise<unknown>,
  ): Promise<Counters> {
    const costs: Counters[] = []
    let count = 0
    while (costs.length < ROUNDS && !costs.some(cost => cost.storage < NEARLY_NONE && cost.folder < NEARLY_NONE)) {
      const before = await settled(gateway)
      expect(await published().run(gateway.port)).toBe(true)
      count += COUNT
      await receivedAll(count)
      const cost = perMessage(before, await settled(gateway), COUNT)
      tell(`${who} there`, cost)
      costs.push(cost)
    }
    return costs.toSorted((a, b) => a.storage - b.storage)[0] as Counters
  }

  test(`${COUNT} messages of QoS 1 write nearly nothing`, { timeout: 3 * LONG }, async () => {
    const gateway = await fresh()
    await using sub = await RawClient.connect({ port: gateway.port, clientId: 'there', clean: false })
    await sub.subscribe({ topic: TOPIC, qos: 1 })
    const cost = await cheapest(gateway, 'subscriber', count => sub.received(count, LONG))
    expect(new Set(sub.payloads).size).toBe(COUNT)
    expect(cost.storage).toBeLessThan(NEARLY_NONE)
    expect(cost.folder).toBeLessThan(NEARLY_NONE)
  })

  test.skipIf(!needs('mosquitto_sub'))(
    'and being mosquitto_sub: nearly nothing too',
    { timeout: 3 * LONG },
    async () => {
      const gateway = await fresh()
      await using sub = await startSub({
        port: gateway.port,
        topics: [TOPIC],
        qos: 1,
        clientId: 'there',
        persistent: true,
      })
      const cost = await cheapest(gateway, 'mosquitto_sub', count => sub.received(count, LONG))
      expect(cost.storage).toBeLessThan(NEARLY_NONE)
      expect(cost.folder).toBeLessThan(NEARLY_NONE)
    },
  )
})

describe('with the persistent subscriber away', () => {
  async function register(port: number): Promise<void> {
    await using sub = await RawClient.connect({ port, clientId: 'away', clean: false })
    await sub.subscribe({ topic: TOPIC, qos: 1 })
    await sub.disconnect()
  }

  test(`${COUNT} messages are on disk: they are seen there, and a kill right after the last PUBACK loses none`, {
    timeout: 3 * LONG,
  }, async () => {
    const gateway = await fresh()
    await register(gateway.port)
    const before = await settled(gateway)
    const ledger = published()
    ledger.onAcknowledged = count => {
      if (count === COUNT) process.kill(gateway.pid, 'SIGKILL')
    }
    await ledger.run(gateway.port)
    await gateway.exit
    const cost = ((await folderBytes(gateway.dataDir)) - before.folder) / COUNT
    console.log(`subscriber away: ${cost.toFixed(2)} bytes a message in the store's files`)
    // The same measure that finds nearly nothing above must find the messages here.
    expect(cost).toBeGreaterThan(PAYLOAD)

    await gateway.start()
    await using sub = await RawClient.connect({ port: gateway.port, clientId: 'away', clean: false })
    await sub.received(COUNT, LONG)
    const got = sub.publishes.map(packet => ({ topic: packet.topic, number: Number(packet.payload.toString()) }))
    expect(faultsOfDelivery(got, ledger.acknowledged, () => TOPIC)).toEqual([])
  })

  test(`a single message is there after a kill right after its PUBACK, ${KILLS} times`, {
    timeout: 3 * LONG,
  }, async () => {
    const gateway = await fresh()
    await register(gateway.port)
    for (let round = 0; round < KILLS; round++) {
      const pub = await RawClient.connect({ port: gateway.port })
      pub.onPacket = packet => {
        if (packet.cmd === 'puback') process.kill(gateway.pid, 'SIGKILL')
      }
      await pub.publish(TOPIC, payloadOf(round), { qos: 1 })
      await gateway.exit
      await pub.closed
      await gateway.start()
    }
    await using sub = await RawClient.connect({ port: gateway.port, clientId: 'away', clean: false })
    await sub.received(KILLS)
    await sub.ping()
    expect(sub.payloads.map(Number)).toEqual(Array.from({ length: KILLS }, (_, round) => round))
  })

  test('an acknowledged message is off the disk for good: it does not come again after a kill', async () => {
    const gateway = await fresh()
    await register(gateway.port)
    expect(await published(100).run(gateway.port)).toBe(true)
    {
      await using sub = await RawClient.connect({ port: gateway.port, clientId: 'away', clean: false })
      await sub.received(100)
      await sub.disconnect()
    }
    await settled(gateway)
    await gateway.kill()
    await gateway.start()
    await using sub = await RawClient.connect({ port: gateway.port, clientId: 'away', clean: false })
    await using pub = await RawClient.connect({ port: gateway.port })
    await pub.publish(TOPIC, 'fence', { qos: 1 })
    await sub.received(1)
    expect(sub.payloads).toEqual(['fence'])
  })
})
