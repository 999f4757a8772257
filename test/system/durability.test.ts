/** What else must survive a kill because somebody was told that it stands: subscriptions, retained messages, QoS 2. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'

let gateway: Gateway
beforeEach(async () => {
  gateway = await startGateway({ config: 'name: Test' })
})
afterEach(() => gateway?.[Symbol.asyncDispose]())

async function crash(): Promise<void> {
  await gateway.kill()
  await gateway.start()
}

const between = (low: number, high: number): number => Math.floor(low + Math.random() * (high - low))

/** A QoS 2 publisher that goes on where it was after its line broke (MQTT 3.1.1 §4.3.3, §4.4), with ten messages in flight. */
class ExactlyOnce {
  readonly #count: number
  /** By packet identifier, oldest first: what is in flight, and whether its PUBREC has come. */
  readonly #inFlight = new Map<number, { number: number; released: boolean }>()
  #next = 0

  constructor(count: number) {
    this.#count = count
  }

  /** Publishes until all is complete (true) or the line breaks (false). After `moment` answers, `disturb` is called. */
  async run(port: number, moment: number, disturb: () => void): Promise<boolean> {
    await using client = await RawClient.connect({ port, clientId: 'sender', clean: false })
    return await new Promise(resolve => {
      let answers = 0
      client.closed.then(() => resolve(false))
      client.onPacket = packet => {
        const flight = this.#inFlight.get(packet.messageId ?? 0)
        if (flight === undefined) return
        if (packet.cmd === 'pubrec') flight.released = true
        if (packet.cmd === 'pubcomp') this.#inFlight.delete(packet.messageId ?? 0)
        if (++answers === moment) return disturb()
        if (packet.cmd === 'pubrec') client.send({ cmd: 'pubrel', messageId: packet.messageId as number })
        this.#fill(client)
        if (this.#inFlight.size === 0) resolve(true)
      }
      for (const [messageId, { number, released }] of this.#inFlight) {
        if (released) client.send({ cmd: 'pubrel', messageId })
        else this.#publish(client, messageId, number, true)
      }
      this.#fill(client)
      // The kill may have come with the very last answer: then nothing is left that could bring another one.
      if (this.#inFlight.size === 0) resolve(true)
    })
  }

  #fill(client: RawClient): void {
    while (this.#next < this.#count && this.#inFlight.size < 10) {
      const number = this.#next++
      const messageId = number + 1
      this.#inFlight.set(messageId, { number, released: false })
      this.#publish(client, messageId, number, false)
    }
  }

  #publish(client: RawClient, messageId: number, number: number, dup: boolean): void {
    client.send({ cmd: 'publish', topic: 'exactly', payload: String(number), qos: 2, retain: false, messageId, dup })
  }
}

/** Everything that `filter` brings a new subscriber at once. */
async function retained(filter: string): Promise<[string, string][]> {
  await using sub = await RawClient.connect({ port: gateway.port })
  await sub.subscribe({ topic: filter, qos: 1 }, { topic: 'fence', qos: 1 })
  await sub.publish('fence', 'fence', { qos: 1 })
  const fence = (): boolean => sub.publishes.some(packet => packet.topic === 'fence')
  for (let count = 1; !fence(); count++) await sub.received(count)
  return sub.publishes
    .filter(packet => packet.retain)
    .map(packet => [packet.topic, packet.payload.toString()] as [string, string])
    .sort()
}

describe('after a kill', () => {
  test('a subscription stands once SUBACK came, and is gone once UNSUBACK came', async () => {
    const session = { port: gateway.port, clientId: 'session', clean: false }
    const sub = await RawClient.connect(session)
    await sub.subscribe({ topic: 'stays', qos: 1 }, { topic: 'goes', qos: 1 })
    sub.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['goes'] })
    await sub.next('unsuback', 9)
    await crash()
    await using pub = await RawClient.connect({ port: gateway.port })
    await pub.publish('goes', 'gone', { qos: 1 })
    await pub.publish('stays', 'here', { qos: 1 })
    await using back = await RawClient.connect(session)
    expect(back.sessionPresent).toBe(true)
    await back.received(1)
    await back.ping()
    expect(back.payloads).toEqual(['here'])
  })

  test.each([1, 2] as const)(
    'a retained message of QoS %i stands once it was acknowledged, and so does its removal',
    async qos => {
      {
        await using pub = await RawClient.connect({ port: gateway.port })
        for (const name of ['a', 'b', 'c']) await pub.publish(`retained/${name}`, 'first', { qos, retain: true })
        await pub.publish('retained/a', 'second', { qos, retain: true })
        await pub.publish('retained/b', '', { qos, retain: true })
      }
      await crash()
      expect(await retained('retained/#')).toEqual([
        ['retained/a', 'second'],
        ['retained/c', 'first'],
      ])
    },
  )

  test('a retained message that was removed twice, the second time acknowledged, is gone', async () => {
    {
      await using pub = await RawClient.connect({ port: gateway.port })
      await pub.publish('retained/a', 'first', { qos: 1, retain: true })
      await pub.publish('retained/a', '', { qos: 0, retain: true })
      await pub.publish('retained/a', '', { qos: 1, retain: true })
    }
    await crash()
    expect(await retained('retained/#')).toEqual([])
  })

  test('a QoS 2 message whose PUBREC came is delivered once, though its publisher begins again', async () => {
    const receiver = { port: gateway.port, clientId: 'receiver', clean: false }
    const sender = { port: gateway.port, clientId: 'sender', clean: false }
    await (await RawClient.connect(receiver)).subscribe({ topic: 'exactly', qos: 2 })
    const first = await RawClient.connect(sender)
    const packet = { cmd: 'publish', topic: 'exactly', payload: 'once', qos: 2, retain: false, messageId: 5 } as const
    first.onPacket = answer => {
      if (answer.cmd === 'pubrec') process.kill(gateway.pid, 'SIGKILL')
    }
    first.send({ ...packet, dup: false })
    await first.next('pubrec', 5)
    await gateway.exit
    await gateway.start()

    // PUBREC was lost on the way, for all the publisher knows.
    await using second = await RawClient.connect(sender)
    second.send({ ...packet, dup: true })
    await second.next('pubrec', 5)
    second.send({ cmd: 'pubrel', messageId: 5 })
    await second.next('pubcomp', 5)
    await second.publish('exactly', 'fence', { qos: 2 })
    await using back = await RawClient.connect(receiver)
    await back.received(2)
    await back.ping()
    // The receiver was connected until the kill and may have been sent the first one then; it did not answer.
    expect(back.payloads).toEqual(['once', 'fence'])
  })
})

describe('after many kills', () => {
  test('QoS 2 messages are there exactly once and in order', { timeout: 120_000 }, async () => {
    const count = 1_000
    const receiver = { port: gateway.port, clientId: 'receiver', clean: false }
    {
      await using sub = await RawClient.connect(receiver)
      await sub.subscribe({ topic: 'exactly', qos: 2 })
      await sub.disconnect()
    }
    const sender = new ExactlyOnce(count)
    let kills = 0
    while (!(await sender.run(gateway.port, between(20, 200), () => process.kill(gateway.pid, 'SIGKILL')))) {
      kills++
      await gateway.exit
      await gateway.start()
    }
    expect(kills).toBeGreaterThan(2)
    await using back = await RawClient.connect(receiver)
    await back.received(count, 30_000)
    await back.ping()
    expect(back.payloads).toEqual(Array.from({ length: count }, (_, number) => String(number)))
  })
})

describe('after an orderly stop', () => {
  test('retained messages of QoS 0 are there', async () => {
    {
      await using pub = await RawClient.connect({ port: gateway.port })
      await pub.publish('lazy/a', 'first', { retain: true })
      await pub.publish('lazy/a', 'second', { retain: true })
      await pub.publish('lazy/b', 'third', { retain: true })
      await pub.ping()
    }
    await gateway.restart()
    expect(await retained('lazy/#')).toEqual([
      ['lazy/a', 'second'],
      ['lazy/b', 'third'],
    ])
  })
})
