/**
 * One connection of a case, over TCP or WebSocket. It splits what comes into packets itself, so that the
 * exact bytes are there beside what `mqtt-packet` reads in them, and keeps a transcript for the failure message.
 */
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type Packet, parser } from 'mqtt-packet'
import WebSocket from 'ws'
import { within } from '../../support/wait.ts'
import type { Fields, OpenOptions, SendOptions, Version } from './format.ts'
import { show, showHex } from './match.ts'
import { Strict } from './strict.ts'

/** A packet as it came. */
export interface Arrival {
  bytes: Buffer
  cmd: string
  packet: Fields
}

interface Stream {
  /** One frame on WebSocket, one write on TCP. */
  write(bytes: Buffer, text: boolean): void
  /** Cuts the line. */
  destroy(): void
  /** Closes it in order. */
  end(): void
  subprotocol: string
}

export interface ConnectionDeps {
  name: string
  ports: { tcp: number; ws: number }
  version: Version
  options: OpenOptions
  log: (line: string) => void
}

export class Connection {
  readonly name: string
  /** Packets that no step took yet, in the order they came. */
  readonly arrivals: Arrival[] = []
  /** The last packet of each type. */
  readonly latest = new Map<string, Fields>()
  readonly acks: boolean
  /** CONNACK with code 0 has come. */
  accepted = false
  open = true
  /** Monotonic time in ms at which the connection was found closed. */
  closedAt = 0
  /** Monotonic time in ms of the last bytes sent. */
  sentAt = 0
  /** What the broker did that no case allows: undecodable bytes, something before CONNACK. */
  fault: string | undefined
  /** Of a connection that begins with a CONNECT of MQTT 5. */
  #strict: Strict | undefined
  /** Round trips that are not a case's own: PINGRESP packets to swallow. */
  readonly #pings: (() => void)[] = []
  #stream: Stream | undefined
  #buffer: Buffer = Buffer.alloc(0)
  #first = true
  readonly #deps: ConnectionDeps
  readonly #changed: (() => void)[] = []

  private constructor(deps: ConnectionDeps) {
    this.#deps = deps
    this.name = deps.name
    this.acks = deps.options.acks ?? false
  }

  static async open(deps: ConnectionDeps): Promise<Connection> {
    const connection = new Connection(deps)
    connection.#stream = deps.options.via === 'ws' ? await connection.#openWs() : await connection.#openTcp()
    return connection
  }

  get subprotocol(): string {
    return this.#stream?.subprotocol ?? ''
  }

  /** Sends bytes, cut as told. */
  async write(bytes: Buffer, options: SendOptions = {}): Promise<void> {
    const { cuts = [], frame = 'binary' } = options
    if (this.sentAt === 0 && this.#deps.version === 5) this.#strict = Strict.of(bytes)
    const at = cuts === 'each' ? [...bytes.keys()].slice(1) : cuts
    let from = 0
    for (const to of [...at, bytes.length]) {
      this.#deps.log(`${this.name} → ${showHex(bytes.subarray(from, to))}`)
      this.sentAt = performance.now()
      this.#stream?.write(bytes.subarray(from, to), frame === 'text')
      from = to
      // A turn of the event loop, so that the pieces do not leave in one segment.
      if (to < bytes.length) await new Promise(resolve => setImmediate(resolve))
    }
  }

  destroy(): void {
    this.#deps.log(`${this.name} cuts the line`)
    this.#stream?.destroy()
  }

  end(): void {
    this.#stream?.end()
  }

  /** A PINGREQ whose PINGRESP no step sees. Comes back early when the connection closes. */
  async ping(): Promise<void> {
    const answered = new Promise<void>(resolve => this.#pings.push(resolve))
    this.#stream?.write(Buffer.from([0xc0, 0]), false)
    await within(Promise.race([answered, this.#closing()]), { what: `PINGRESP at ${this.name}` })
  }

  /** Resolves when something came or the connection closed. */
  change(): Promise<void> {
    return new Promise(resolve => this.#changed.push(resolve))
  }

  async #closing(): Promise<void> {
    while (this.open) await this.change()
  }

  #notify(): void {
    for (const resolve of this.#changed.splice(0)) resolve()
  }

  async #openTcp(): Promise<Stream> {
    const socket: Socket = createConnection({ port: this.#deps.ports.tcp, host: '127.0.0.1', noDelay: true })
    socket.on('data', bytes => this.#receive(bytes))
    socket.on('close', () => this.#close())
    await once(socket, 'connect')
    socket.on('error', () => {}) // a reset is a close
    return {
      write: bytes => void socket.write(bytes),
      destroy: () => void socket.resetAndDestroy(),
      end: () => void socket.end(),
      subprotocol: '',
    }
  }

  async #openWs(): Promise<Stream> {
    const { ports, options } = this.#deps
    const socket = new WebSocket(`ws://127.0.0.1:${ports.ws}/mqtt`, [...(options.subprotocols ?? ['mqtt'])])
    socket.on('message', (data, isBinary) => {
      if (!isBinary) this.fault = 'a WebSocket frame that is not binary came [MQTT-6.0.0-1]'
      this.#receive(data as Buffer)
    })
    socket.on('close', () => this.#close())
    await once(socket, 'open')
    socket.on('error', () => {})
    return {
      write: (bytes, text) => socket.send(text ? bytes.toString() : bytes),
      destroy: () => socket.terminate(),
      end: () => socket.close(),
      subprotocol: socket.protocol,
    }
  }

  #close(): void {
    this.open = false
    this.closedAt = performance.now()
    this.#deps.log(`${this.name} is closed`)
    this.#notify()
  }

  #receive(bytes: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, bytes])
    for (let length = packetLength(this.#buffer); length !== undefined; length = packetLength(this.#buffer)) {
      this.#decode(this.#buffer.subarray(0, length))
      this.#buffer = this.#buffer.subarray(length)
    }
    this.#notify()
  }

  #decode(bytes: Buffer): void {
    const decoder = parser({ protocolVersion: this.#deps.version })
    decoder.on('packet', (packet: Packet) =>
      this.#take({ bytes, cmd: packet.cmd, packet: packet as unknown as Fields }),
    )
    decoder.on('error', (error: Error) => {
      this.fault ??= `${showHex(bytes)} came, which is malformed: ${error.message}`
    })
    decoder.parse(bytes)
  }

  #take(arrival: Arrival): void {
    const { cmd, packet } = arrival
    this.fault ??= this.#strict?.check(arrival)
    if (cmd === 'pingresp' && this.#pings.length > 0) {
      this.#pings.shift()?.()
      return
    }
    this.#deps.log(`${this.name} ← ${show(packet)}  ${showHex(arrival.bytes)}`)
    this.latest.set(cmd, packet)
    if (this.#first && cmd !== 'connack' && cmd !== 'auth') this.fault ??= `${cmd} came before CONNACK`
    this.#first = this.#first && cmd === 'auth'
    if (cmd === 'connack' && (packet.returnCode ?? packet.reasonCode) === 0) this.accepted = true
    if (this.acks && this.#acknowledge(cmd, packet)) return
    this.arrivals.push(arrival)
  }

  /** True for a packet that is the handshake's own affair. */
  #acknowledge(cmd: string, packet: Fields): boolean {
    const { messageId, qos } = packet
    const id = messageId as number
    const answer = (first: number) => this.#stream?.write(Buffer.from([first, 2, id >> 8, id & 0xff]), false)
    if (cmd === 'publish' && qos === 1) answer(0x40)
    if (cmd === 'publish' && qos === 2) answer(0x50)
    if (cmd === 'pubrec' && !(Number(packet.reasonCode) >= 0x80)) answer(0x62)
    if (cmd === 'pubrel') answer(0x70)
    return cmd === 'pubrec' || cmd === 'pubrel'
  }
}

/** Bytes of the first packet, when all of it is there. */
function packetLength(bytes: Buffer): number | undefined {
  let length = 0
  for (let at = 1, factor = 1; at < bytes.length && at <= 4; at++, factor *= 128) {
    const digit = bytes[at] as number
    length += (digit & 0x7f) * factor
    if (digit < 0x80) return bytes.length >= at + 1 + length ? at + 1 + length : undefined
  }
  return undefined
}
