/** A reload while everything goes on: what has not changed is not touched, what is wrong changes nothing, who has lost their right must go. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { type Gateway, larder, prepareGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

const CLIENTS = 200
const RELOADS = 100
const TIMEOUT = 120_000

let gateway: Gateway | undefined
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]()
  gateway = undefined
})

async function write(name: string, text: string): Promise<void> {
  await writeFile(join((gateway as Gateway).folder, name), text)
}

/** Sends SIGHUP and waits for the answer, which is that it did, or that it did not. */
async function reload(): Promise<'reloaded' | 'not reloaded'> {
  const { pid, process: running } = gateway as Gateway
  const before = running.errors.length
  process.kill(pid, 'SIGHUP')
  const answer = () => running.errors.slice(before).find(line => /^larder: (not )?reloaded/.test(line))
  const line = await until(answer, { what: 'the answer to SIGHUP', every: 5 })
  return line.startsWith('larder: not') ? 'not reloaded' : 'reloaded'
}

/** Publishes numbers, one after the other is acknowledged, until it is stopped. */
class Talker {
  readonly client: RawClient
  sent = 0
  isDropped = false
  #stopped = false
  readonly done: Promise<void>

  constructor(client: RawClient, topic: string) {
    this.client = client
    client.closed.then(() => {
      this.isDropped = !this.#stopped
    })
    this.done = this.#talk(topic)
  }

  stop(): void {
    this.#stopped = true
  }

  async #talk(topic: string): Promise<void> {
    while (!this.#stopped && !this.isDropped) {
      await this.client.publish(topic, String(this.sent), { qos: 1 })
      this.sent++
    }
  }
}

test('200 clients publish through 100 reloads with good and bad files', { timeout: TIMEOUT }, async () => {
  gateway = await prepareGateway({
    config: 'access: { password_file: passwords, allow_anonymous: true, acl_file: acl }',
  })
  const passwords = join(gateway.folder, 'passwords')
  await larder(['passwd', '-c', '-b', '-H', 'sha512', passwords, 'anna', 'secret'])
  const good = 'topic readwrite #\n'
  await write('acl', good)
  await gateway.start()
  const { port } = gateway
  await using listener = await RawClient.connect({ port, clientId: 'listener' })
  const heard = new Map<string, number>()
  const faults: string[] = []
  listener.onPacket = packet => {
    if (packet.cmd !== 'publish') return
    const number = Number(packet.payload.toString())
    const next = heard.get(packet.topic) ?? 0
    if (number !== next) faults.push(`${packet.topic}: ${number} came, ${next} was to come`)
    heard.set(packet.topic, number + 1)
  }
  await listener.subscribe({ topic: 'talk/#', qos: 1 })
  const talkers = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
      const client = await RawClient.connect({ port, clientId: `talker-${i}` })
      return new Talker(client, `talk/${i}`)
    }),
  )
  for (let i = 0; i < RELOADS; i++) {
    const isBad = i % 2 === 1
    if (i % 4 === 1) await write('acl', 'topic perhaps #\nuser\n')
    else if (i % 4 === 3) await write('passwords', 'anna:plain\n')
    else await write('acl', `${good}topic read extra/${i}\n`)
    expect(await reload()).toBe(isBad ? 'not reloaded' : 'reloaded')
    if (i % 4 === 1) await write('acl', good)
    if (i % 4 === 3) await larder(['passwd', '-c', '-b', '-H', 'sha512', passwords, 'anna', 'secret'])
  }
  for (const talker of talkers) talker.stop()
  await Promise.all(talkers.map(talker => talker.done))
  expect(talkers.filter(talker => talker.isDropped)).toEqual([])
  await until(() => talkers.every(({ sent }, i) => heard.get(`talk/${i}`) === sent), { what: 'the last messages' })
  expect(faults).toEqual([])
  const total = talkers.reduce((sum, { sent }) => sum + sent, 0)
  expect(total).toBeGreaterThan(CLIENTS * 10)
  console.log(`${RELOADS} reloads, ${CLIENTS} clients, ${total} messages: none lost, nobody dropped`)
  for (const { client } of talkers) client.socket.destroy()
})

test('who is no user any more, or has another password, must go; others stay', async () => {
  gateway = await prepareGateway({ config: 'access: { password_file: passwords }' })
  const file = join(gateway.folder, 'passwords')
  const set = (user: string, password: string) => larder(['passwd', '-b', '-H', 'sha512', file, user, password])
  await write('passwords', '')
  for (const user of ['anna', 'bert', 'carl']) await set(user, `${user}'s`)
  await gateway.start()
  const { port } = gateway
  const enter = (username: string, password: string, protocolVersion: 4 | 5) =>
    RawClient.connect({ port, clientId: username, username, password, protocolVersion })
  await using anna = await enter('anna', "anna's", 5)
  await using bert = await enter('bert', "bert's", 5)
  await using carl = await enter('carl', "carl's", 4)
  await set('bert', 'another')
  await larder(['passwd', '-D', file, 'carl'])
  expect(await reload()).toBe('reloaded')
  await Promise.all([bert.closed, carl.closed])
  expect(bert.others.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x87 })
  await anna.ping()
  await expect(enter('bert', "bert's", 5)).rejects.toThrow()
  await using _again = await enter('bert', 'another', 5)
})

test('listeners come and go; those that stay keep their clients', async () => {
  gateway = await prepareGateway({ config: 'name: Test' })
  const { port, wsPort, dataDir } = gateway
  const config = (listeners: string) => `data_dir: '${dataDir}'\nlisteners:\n${listeners}`
  const first = `  - mqtt://127.0.0.1:${port}\n`
  const second = `  - mqtt://127.0.0.1:${wsPort}\n`
  await write('larder.yaml', config(first))
  await gateway.start()
  await using stays = await RawClient.connect({ port, protocolVersion: 5 })
  await write('larder.yaml', config(first + second))
  expect(await reload()).toBe('reloaded')
  await using goes = await RawClient.connect({ port: wsPort, protocolVersion: 5 })
  await write('larder.yaml', config(`  - { url: 'mqtt://127.0.0.1:${port}', max_packet_size: 1KiB, versions: [5] }\n`))
  expect(await reload()).toBe('reloaded')
  await goes.closed
  await stays.ping()
  await using fresh = await RawClient.connect({ port, protocolVersion: 5 })
  expect(fresh.connack?.properties).toMatchObject({ maximumPacketSize: 1024 })
  await expect(RawClient.connect({ port, protocolVersion: 4 })).rejects.toThrow()
  await expect(RawClient.connect({ port: wsPort })).rejects.toThrow()
})

test('devices come and go', async () => {
  gateway = await prepareGateway({ config: 'devices: []' })
  await gateway.start()
  const { port, dataDir } = gateway
  await using client = await RawClient.connect({ port })
  await client.subscribe({ topic: '/Home/#', qos: 1 })
  const head = `data_dir: '${dataDir}'\nlisteners: ['mqtt://127.0.0.1:${port}']\n`
  await write('larder.yaml', `${head}devices: [{ name: Box, room: Hall, system: {} }]`)
  expect(await reload()).toBe('reloaded')
  const says = (text: string) => () =>
    client.publishes.some(
      ({ topic, payload }) => topic === '/Home/Hall/Box/availability' && payload.toString() === text,
    )
  await until(says('online'), { what: 'the new device' })
  await write('larder.yaml', `${head}devices: []`)
  expect(await reload()).toBe('reloaded')
  await until(says('offline'), { what: 'the end of the device' })
})
