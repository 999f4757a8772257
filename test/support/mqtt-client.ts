/**
 * A thin MQTT client for tests that must decide themselves what goes over the wire and when: withhold
 * an acknowledgement, stop reading, fall silent, cut the line. It encodes and decodes with
 * `mqtt-packet` and keeps every packet it was sent, unless told not to. For everything else the tests use real clients.
 */
import { createConnection, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import {
  generate,
  type IConnackPacket,
  type IConnectPacket,
  type IPublishPacket,
  type ISubackPacket,
  type Packet,
  parser,
  type QoS,
} from 'mqtt-packet'
import { PATIENCE, until, within } from './wait.ts'

export interface RawClientOptions {
  port: number
  /** Over TLS, whoever has signed the certificate. */
  tls?: boolean
  clientId?: string
  /** Clean Session flag; true unless told otherwise. */
  clean?: boolean
  /** Seconds; 0 (none) unless told otherwise. */
  keepalive?: number
  will?: { topic: string; payload: string; qos?: QoS; retain?: boolean }
  username?: string
  password?: string
  /** False: PUBLISH and PUBREL are not answered; see `acknowledge`. */
  acknowledging?: boolean
  /** 4 (MQTT 3.1.1) unless told otherwise. In 5, a session that is not clean does not expire. */
  protocolVersion?: 4 | 5
  /** False: PUBLISH packets and acknowledgements are only given to `onPacket`, for runs whose packets no memory holds. */
  keeping?: boolean
  /** ms in which the connection must stand and CONNACK be here; PATIENCE unless told otherwise. */
  patience?: number
}

/** Packet identifiers are 1 to 65535 (MQTT 3.1.1 §2.3.1). */
const MAX_PACKET_ID = 65_535
/** Session Expiry Interval of a session that does not expire (MQTT 5 §3.1.2.11.2). */
const NO_EXPIRY = 0xffffffff

const ACKNOWLEDGEMENTS: ReadonlySet<Packet['cmd']> = new Set(['puback', 'pubrec', 'pubrel', 'pubcomp'])

let clients = 0

export class RawClient {
  /** Every PUBLISH that came, in order, repeats included. */
  readonly publishes: IPublishPacket[] = []
  /** Every other packet that came. */
  readonly others: Packet[] = []
  readonly clientId: string
  readonly socket: Socket
  /** Resolves when the connection is gone, with the monotonic time in ms at which that was noticed. */
  readonly closed: Promise<number>
  /** Called for each packet as it comes. */
  onPacket: ((packet: Packet) => void) | undefined
  acknowledging: boolean
  readonly #taken = new WeakSet<Packet>()
  readonly #protocolVersion: 4 | 5
  readonly #keeping: boolean
  readonly #patience: number
  #packetId = 0
  #acknowledged = 0
  #open = true

  private constructor(socket: Socket, options: RawClientOptions) {
    this.socket = socket
    this.clientId = options.clientId ?? `raw-${process.pid}-${++clients}`
    this.acknowledging = options.acknowledging ?? true
    this.#protocolVersion = options.protocolVersion ?? 4
    this.#keeping = options.keeping ?? true
    this.#patience = options.patience ?? PATIENCE
    const decoder = parser({ protocolVersion: this.#protocolVersion })
    decoder.on('packet', (packet: Packet) => this.#receive(packet))
    decoder.on('error', (error: Error) => socket.destroy(error))
    socket.setNoDelay(true)
    socket.on('data', bytes => {
      // What the packets of one chunk are answered with leaves in one write.
      socket.cork()
      decoder.parse(bytes)
      socket.uncork()
    })
    socket.on('error', () => {}) // a cut line is what many tests want; `closed` tells
    this.closed = new Promise(resolve =>
      socket.on('close', () => {
        this.#open = false
        resolve(performance.now())
      }),
    )
  }

  /** Opens the connection without a word of MQTT. */
  static async open(options: RawClientOptions): Promise<RawClient> {
    const place = { port: options.port, host: '127.0.0.1' }
    const socket = options.tls === true ? connectTls({ ...place, rejectUnauthorized: false }) : createConnection(place)
    const client = new RawClient(socket, options)
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve())
        socket.once('error', reject)
      }),
      { what: `a connection to port ${options.port}`, timeout: client.#patience },
    ).catch(error => client.#giveUp(error))
    return client
  }

  /** Connects and waits for a CONNACK with return code 0. */
  static async connect(options: RawClientOptions): Promise<RawClient> {
    const client = await RawClient.open(options)
    const connack = await client.handshake(options).catch(error => client.#giveUp(error))
    const code = connack.reasonCode ?? connack.returnCode
    if (code !== 0) client.#giveUp(new Error(`${client.clientId}: refused with return code ${code}`))
    return client
  }

  /** Sends CONNECT and gives the CONNACK. */
  async handshake(options: Omit<RawClientOptions, 'port'>): Promise<IConnackPacket> {
    const { will, username, password } = options
    const connect: IConnectPacket = {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.#protocolVersion,
      clientId: this.clientId,
      clean: options.clean ?? true,
      keepalive: options.keepalive ?? 0,
      ...(this.#protocolVersion === 5 && options.clean === false
        ? { properties: { sessionExpiryInterval: NO_EXPIRY } }
        : {}),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) }),
      ...(will === undefined ? {} : { will: { qos: 0, retain: false, ...will } }),
    }
    this.send(connect)
    return (await this.next('connack', undefined, this.#patience)) as IConnackPacket
  }

  get open(): boolean {
    return this.#open
  }

  /** The CONNACK, once it has come. */
  get connack(): IConnackPacket | undefined {
    return this.others.find(packet => packet.cmd === 'connack') as IConnackPacket | undefined
  }

  /** Session Present flag of the CONNACK. */
  get sessionPresent(): boolean {
    return this.connack?.sessionPresent === true
  }

  get payloads(): string[] {
    return this.publishes.map(packet => packet.payload.toString())
  }

  send(packet: Packet): void {
    this.socket.write(generate(packet, { protocolVersion: this.#protocolVersion }))
  }

  /** The next packet of this kind that was not asked for before. Rejects when the connection closes without one. */
  async next(cmd: Packet['cmd'], messageId?: number, timeout = PATIENCE): Promise<Packet> {
    return await until(
      () => {
        const index = this.others.findIndex(
          packet =>
            packet.cmd === cmd &&
            (messageId === undefined || packet.messageId === messageId) &&
            !this.#taken.has(packet),
        )
        const packet = this.others[index]
        if (packet !== undefined) this.#taken.add(packet)
        else if (!this.#open) throw new Error(`${this.clientId}: closed without ${cmd}`)
        return packet
      },
      {
        what: () => `${cmd} at ${this.clientId}; got ${this.others.map(packet => packet.cmd).join(' ')}`,
        every: 1,
        timeout,
      },
    )
  }

  /** Subscribes and gives the granted QoS of each filter. */
  async subscribe(...filters: { topic: string; qos: QoS }[]): Promise<number[]> {
    const messageId = this.nextPacketId()
    this.send({ cmd: 'subscribe', messageId, subscriptions: filters })
    return ((await this.next('suback', messageId)) as ISubackPacket).granted as number[]
  }

  /** Publishes and, for QoS 1 and 2, waits until the broker has taken responsibility (PUBACK, or PUBCOMP at the end). */
  async publish(topic: string, payload: string | Buffer, options: { qos?: QoS; retain?: boolean } = {}): Promise<void> {
    const qos = options.qos ?? 0
    const messageId = qos === 0 ? undefined : this.nextPacketId()
    const packet: IPublishPacket = { cmd: 'publish', topic, payload, qos, retain: options.retain ?? false, dup: false }
    if (messageId === undefined) {
      this.send(packet)
      return
    }
    this.send({ ...packet, messageId })
    if (qos === 1) await this.next('puback', messageId)
    if (qos === 2) {
      await this.next('pubrec', messageId)
      this.send({ cmd: 'pubrel', messageId })
      await this.next('pubcomp', messageId)
    }
  }

  /** A round trip: what the broker had already written to this connection has come when it resolves. */
  async ping(): Promise<void> {
    this.send({ cmd: 'pingreq' })
    await this.next('pingresp')
  }

  /** Sends PUBACK for the oldest `count` QoS 1 messages that have none yet. */
  acknowledge(count: number): void {
    const waiting = this.publishes
      .filter(packet => packet.qos === 1)
      .slice(this.#acknowledged, this.#acknowledged + count)
    this.#acknowledged += waiting.length
    for (const packet of waiting) this.send({ cmd: 'puback', messageId: packet.messageId as number })
  }

  /** Waits until `count` PUBLISH packets have come in all. */
  async received(count: number, timeout?: number): Promise<void> {
    await until(() => this.publishes.length >= count, {
      what: () => `${count} messages at ${this.clientId}; got ${this.publishes.length}`,
      ...(timeout === undefined ? {} : { timeout }),
    })
  }

  nextPacketId(): number {
    this.#packetId = (this.#packetId % MAX_PACKET_ID) + 1
    return this.#packetId
  }

  /** An orderly end: DISCONNECT, then the broker closes (MQTT 3.1.1 §3.14.4). */
  async disconnect(): Promise<void> {
    this.send({ cmd: 'disconnect' })
    this.socket.end()
    await within(this.closed, { what: `the end of ${this.clientId}'s connection` })
  }

  /** Cuts the line without DISCONNECT. */
  async cut(): Promise<void> {
    this.socket.resetAndDestroy()
    await this.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await this.closed
  }

  #giveUp(error: unknown): never {
    this.socket.destroy()
    throw error
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'publish') {
      if (this.#keeping) this.publishes.push(packet)
      if (this.acknowledging && packet.qos === 1) {
        this.#acknowledged++
        this.send({ cmd: 'puback', messageId: packet.messageId as number })
      }
      if (this.acknowledging && packet.qos === 2) this.send({ cmd: 'pubrec', messageId: packet.messageId as number })
    } else {
      if (this.#keeping || !ACKNOWLEDGEMENTS.has(packet.cmd)) this.others.push(packet)
      if (this.acknowledging && packet.cmd === 'pubrel')
        this.send({ cmd: 'pubcomp', messageId: packet.messageId as number })
    }
    this.onPacket?.(packet)
  }
}
