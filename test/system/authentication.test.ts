/**
 * Who comes in: a password in CONNECT, and SCRAM-SHA-256 in AUTH packets (MQTT 5 §4.12), over one password file.
 * The client is MQTT.js; its half of SCRAM is ours.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { connectAsync, type MqttClient } from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { scramEntry } from '../../src/access/credentials.ts'
import { createGateway, type Gateway, silentLog } from '../../src/index.ts'
import { ScramClient } from '../support/scram-client.ts'
import { until } from '../support/wait.ts'

const METHOD = 'SCRAM-SHA-256'
const COST = { iterations: 4096, salt: randomBytes(16) }

let folder: string
let gateway: Gateway
let address: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-authentication-'))
})
afterEach(async () => {
  await gateway?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function start(lines: string[], access: Record<string, unknown> = {}): Promise<void> {
  const password_file = join(folder, 'passwords')
  await writeFile(password_file, lines.map(line => `${line}\n`).join(''))
  gateway = createGateway(
    { data_dir: folder, listeners: ['mqtt://127.0.0.1:0'], access: { password_file, ...access } },
    { log: silentLog },
  )
  await gateway.start()
  address = gateway.addresses()[0] as string
}

/** Opens a connection that authenticates by SCRAM; resolves to its client, or rejects with what refused it. */
function scramConnect(
  userName: string,
  password: string,
): Promise<{ client: MqttClient; scram: ScramClient; final: Buffer }> {
  const scram = new ScramClient({ userName, password })
  const client = mqtt.connect(address, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    properties: { authenticationMethod: METHOD, authenticationData: scram.first() },
  })
  client.handleAuth = (packet, callback) => {
    const data = packet.properties?.authenticationData as Buffer
    const properties = { authenticationMethod: METHOD, authenticationData: scram.final(data) }
    callback(undefined, { cmd: 'auth', reasonCode: 0x18, properties })
  }
  return new Promise((resolve, reject) => {
    client.on('connect', packet => {
      const final = (packet.properties as { authenticationData: Buffer }).authenticationData
      resolve({ client, scram, final })
    })
    client.on('error', reject)
    client.on('close', () => reject(new Error('closed')))
  })
}

test('the right password opens the door, another or none does not; in every version', async () => {
  await start([await scramEntry('cook', 'salt', COST)])
  for (const protocolVersion of [3, 4, 5] as const) {
    const options = {
      protocolVersion,
      reconnectPeriod: 0,
      ...(protocolVersion === 3 ? { protocolId: 'MQIsdp' as const } : {}),
    }
    const client = await connectAsync(address, { ...options, username: 'cook', password: 'salt' })
    await client.publishAsync('a', 'b', { qos: 1 })
    await client.endAsync()
    for (const wrong of [{ username: 'cook', password: 'pepper' }, { username: 'nobody', password: 'salt' }, {}]) {
      await expect(connectAsync(address, { ...options, ...wrong })).rejects.toThrow(/Not authorized/)
    }
  }
})

test('who has no name may come in when that is allowed', async () => {
  await start([await scramEntry('cook', 'salt', COST)], { allow_anonymous: true })
  await (await connectAsync(address)).endAsync()
  await expect(connectAsync(address, { username: 'cook', password: 'x', reconnectPeriod: 0 })).rejects.toThrow()
})

test('SCRAM-SHA-256: both sides prove that they know the password, and it never travels', async () => {
  await start([await scramEntry('cook', 'salt', COST)])
  const { client, scram, final } = await scramConnect('cook', 'salt')
  expect(scram.accepts(final)).toBe(true)
  await client.publishAsync('a', 'b', { qos: 2 })
  await client.endAsync()
  await expect(scramConnect('cook', 'pepper')).rejects.toMatchObject({ code: 0x87 })
  await expect(scramConnect('nobody', 'salt')).rejects.toMatchObject({ code: 0x87 })
})

test('a client authenticates again on the same connection; as somebody else it is disconnected', async () => {
  await start([await scramEntry('cook', 'salt', COST), await scramEntry('baker', 'flour', COST)])
  const { client } = await scramConnect('cook', 'salt')
  const answers: number[] = []
  const again = (userName: string, password: string) => {
    const scram = new ScramClient({ userName, password, nonce: randomBytes(9).toString('base64') })
    client.handleAuth = (packet, callback) => {
      answers.push(packet.reasonCode as number)
      const data = packet.properties?.authenticationData as Buffer
      if (packet.reasonCode === 0) {
        expect(scram.accepts(data)).toBe(true)
        callback()
        return
      }
      const properties = { authenticationMethod: METHOD, authenticationData: scram.final(data) }
      callback(undefined, { cmd: 'auth', reasonCode: 0x18, properties })
    }
    const properties = { authenticationMethod: METHOD, authenticationData: scram.first() }
    ;(client as unknown as { _sendPacket(packet: object): void })._sendPacket({
      cmd: 'auth',
      reasonCode: 0x19,
      properties,
    })
  }
  again('cook', 'salt')
  await until(() => answers.length === 2, { what: 'the end of the second authentication' })
  expect(answers).toEqual([0x18, 0])
  await client.publishAsync('a', 'b', { qos: 1 })

  const goodbye = new Promise<number>(resolve =>
    client.on('disconnect', packet => resolve(packet.reasonCode as number)),
  )
  again('baker', 'flour')
  expect(await goodbye).toBe(0x87)
  client.end(true)
})

test('a method that there is not is refused by name', async () => {
  await start([])
  const client = mqtt.connect(address, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    properties: { authenticationMethod: 'KERBEROS', authenticationData: Buffer.from('x') },
  })
  const error = await new Promise<Error & { code?: number }>(resolve => client.on('error', resolve))
  expect(error.code).toBe(0x8c)
  client.end(true)
})

test('a password file with a line that cannot be read keeps the gateway from starting, and names the line', async () => {
  await expect(start([await scramEntry('cook', 'salt', COST), 'baker flour'])).rejects.toThrow(/passwords:2: /)
})
