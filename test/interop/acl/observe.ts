/**
 * What a broker allows, seen from outside: each client of a group connects, subscribes, is published to by a gate
 * keeper who may publish everything, publishes, and subscribes to what is asked. A message that did not come
 * before the answer to a PINGREQ that was sent after it was acknowledged does not come.
 */
import { generate, type IConnackPacket, type IConnectPacket, type IPubackPacket, type ISubackPacket } from 'mqtt-packet'
import { RawClient, type RawClientOptions } from '../../support/mqtt-client.ts'
import { filterOf, type Group, type Row } from './row.ts'

/** Reason codes from here on are failures (MQTT 5 §2.4). */
const FAILURE = 0x80
const NOT_AUTHORIZED = 0x87

/** Seconds; longer than any test. */
const SESSION_EXPIRY = 300
/** Place of the Connect Flags in a short CONNECT (MQTT 5 §3.1.2.3). */
const CONNECT_FLAGS = 9
const USER_NAME_FLAG = 0x80

const GATE_KEEPER = 'gate keeper'

/** The ACL file of a group, and a section for the gate keeper. */
export function aclText(lines: readonly string[]): string {
  const rules = ['#', '$x/#', '$SYS/broker/connection/gate/state'].map(filter => `topic write ${filter}`)
  return [...lines, `user ${GATE_KEEPER}`, ...rules, ''].join('\n')
}

export interface Login {
  id: string
  userName?: string | undefined
}

export async function login(
  port: number,
  { id, userName }: Login,
  options: Partial<RawClientOptions> = {},
): Promise<RawClient> {
  const client = await RawClient.open({ port, clientId: id, protocolVersion: 5, ...options })
  const { clean = true, protocolVersion = 5 } = options
  const packet: IConnectPacket = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion,
    clientId: id,
    clean,
    keepalive: 0,
    ...(userName === undefined ? {} : { username: userName }),
    ...(clean || protocolVersion === 4 ? {} : { properties: { sessionExpiryInterval: SESSION_EXPIRY } }),
    ...(options.will === undefined ? {} : { will: { qos: 0, retain: false, ...options.will } }),
  }
  const bytes = generate(packet, { protocolVersion })
  // mqtt-packet writes an empty user name, but forgets its flag.
  if (userName === '') bytes.writeUInt8(bytes.readUInt8(CONNECT_FLAGS) | USER_NAME_FLAG, CONNECT_FLAGS)
  client.socket.write(bytes)
  const { reasonCode, returnCode } = (await client.next('connack')) as IConnackPacket
  const code = reasonCode ?? returnCode
  if (code !== 0) throw new Error(`${id} as ${userName}: refused with ${code}`)
  return client
}

/** A client that may publish everything. */
export async function gateKeeper(port: number, options: Partial<RawClientOptions> = {}): Promise<RawClient> {
  return await login(port, { id: 'gate', userName: GATE_KEEPER }, options)
}

/** Publishes at QoS 1; true when the broker's PUBACK says that it was allowed. */
export async function publishes(client: RawClient, topic: string, payload = 'x', retain = false): Promise<boolean> {
  const messageId = client.nextPacketId()
  client.send({ cmd: 'publish', topic, payload, qos: 1, retain, dup: false, messageId })
  const { reasonCode = 0 } = (await client.next('puback', messageId)) as IPubackPacket
  if (reasonCode >= FAILURE && reasonCode !== NOT_AUTHORIZED) throw new Error(`${topic}: PUBACK ${reasonCode}`)
  return reasonCode < FAILURE
}

/** Subscribes at QoS 1; true when the broker's SUBACK says that it was allowed. */
export async function subscribes(client: RawClient, topic: string): Promise<boolean> {
  const messageId = client.nextPacketId()
  client.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 1 }] })
  const [code] = ((await client.next('suback', messageId)) as ISubackPacket).granted as number[]
  if (code !== 1 && code !== NOT_AUTHORIZED) throw new Error(`${topic}: SUBACK ${code}`)
  return code === 1
}

/** What the broker at `port`, with the ACL file of the group, allows of each row. */
export async function observe(port: number, { rows }: Group): Promise<Map<Row, boolean>> {
  const seen = new Map<Row, boolean>()
  await using gate = await gateKeeper(port)
  for (const own of groupedBy(rows, ([id, userName]) => JSON.stringify([id, userName]))) {
    const [id, userName] = own[0] as Row
    for (const receiving of groupedBy(rowsOf(own, 'receive'), row => row[5]?.via ?? '')) {
      await using client = await login(port, { id, userName })
      for (const filter of new Set(receiving.map(filterOf))) await subscribes(client, filter)
      for (const [, , , topic] of receiving) {
        if (!(await publishes(gate, topic))) throw new Error(`the gate keeper may not publish to ${topic}`)
      }
      await client.ping()
      const came = new Set(client.publishes.map(({ topic }) => topic))
      for (const row of receiving) seen.set(row, came.has(row[3]))
    }
    await using client = await login(port, { id, userName })
    for (const row of rowsOf(own, 'publish')) seen.set(row, await publishes(client, row[3]))
    for (const row of rowsOf(own, 'subscribe')) seen.set(row, await subscribes(client, row[3]))
  }
  return seen
}

function rowsOf(rows: readonly Row[], action: Row[2]): Row[] {
  return rows.filter(row => row[2] === action)
}

function groupedBy(rows: readonly Row[], key: (row: Row) => string): Row[][] {
  const groups = new Map<string, Row[]>()
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row])
  return [...groups.values()]
}
