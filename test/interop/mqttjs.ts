/** MQTT.js as the other side: a client, everything that it received, and an end that cannot be forgotten. */
import mqtt, {
  type IClientOptions,
  type IConnackPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type MqttClient,
  type Packet,
} from 'mqtt'
import type { Broker } from '../support/broker.ts'
import { until, within } from '../support/wait.ts'

export interface Seen {
  topic: string
  payload: string
  qos: number
  retain: boolean
}

export interface ConnectOptions extends IClientOptions {
  /** Over WebSocket rather than TCP. */
  overWebSocket?: boolean
  /** A session that outlives its connection; in MQTT 5 that takes a session expiry interval too. */
  persistent?: boolean
}

/** Seconds that a persistent session of these tests is kept: longer than any of them takes. */
const KEPT = 3_600
/** Deadline in ms for a burst on a loaded machine. */
const BURST_TIMEOUT = 30_000

export class Client implements AsyncDisposable {
  readonly mqtt: MqttClient
  /** Every message in order, as MQTT 3 knows it. */
  readonly seen: Seen[] = []
  /** The packets of the same messages, with what MQTT 5 adds. */
  readonly packets: IPublishPacket[] = []
  /** Every packet as it came over the wire: topic aliases not resolved. */
  readonly wire: Packet[] = []
  connack: IConnackPacket | undefined
  /** DISCONNECT of the server, which only MQTT 5 has. */
  readonly goodbye: Promise<IDisconnectPacket>
  readonly closed: Promise<void>

  constructor(client: MqttClient) {
    this.mqtt = client
    this.closed = new Promise(resolve => client.once('close', resolve))
    this.goodbye = new Promise(resolve => client.once('disconnect', resolve))
    client.on('connect', connack => {
      this.connack = connack
    })
    client.on('error', () => {})
    client.on('packetreceive', packet => this.wire.push(structuredClone(packet)))
    client.on('message', (topic, payload, packet) => {
      this.seen.push({ topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain })
      this.packets.push(packet)
    })
  }

  get sessionPresent(): boolean {
    return this.connack?.sessionPresent === true
  }

  get payloads(): string[] {
    return this.seen.map(message => message.payload)
  }

  async received(count: number): Promise<void> {
    await until(() => this.seen.length >= count, {
      what: () => `${count} messages; got ${this.seen.length}`,
      timeout: BURST_TIMEOUT,
    })
  }

  /** Waits until a message with this payload has come. */
  async came(payload: string): Promise<void> {
    await until(() => this.payloads.includes(payload), {
      what: () => `'${payload}'; got ${JSON.stringify(this.payloads)}`,
    })
  }

  /** Breaks the line without DISCONNECT, and does not come back. */
  async vanish(): Promise<void> {
    this.mqtt.stream.destroy()
    await within(this.closed, { what: 'the end of the connection' })
    await this.mqtt.endAsync(true)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mqtt.endAsync(true)
  }
}

/** Connects and waits for CONNACK. MQTT 3.1.1 over TCP, and no second try, unless told otherwise. */
export async function connectClient(broker: Broker, options: ConnectOptions = {}): Promise<Client> {
  const client = startClient(broker, options)
  try {
    await until(() => client.mqtt.connected, {
      what: () => `a connection to ${urlOf(broker, options)}\n${broker.log()}`,
    })
    return client
  } catch (error) {
    await client[Symbol.asyncDispose]()
    throw error
  }
}

/** Begins to connect, for clients that are meant to be refused. */
export function startClient(broker: Broker, options: ConnectOptions = {}): Client {
  const { overWebSocket: _, persistent, ...given } = options
  const version = given.protocolVersion ?? 4
  const session: IClientOptions = persistent !== true ? {} : { clean: false }
  if (persistent === true && version === 5) session.properties = { sessionExpiryInterval: KEPT, ...given.properties }
  return new Client(
    mqtt.connect(urlOf(broker, options), {
      protocolVersion: version,
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      reconnectPeriod: 0,
      ...given,
      ...session,
    }),
  )
}

function urlOf(broker: Broker, options: ConnectOptions): string {
  return options.overWebSocket === true ? `ws://127.0.0.1:${broker.wsPort}/mqtt` : `mqtt://127.0.0.1:${broker.port}`
}
