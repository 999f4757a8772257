/** A connection of an attacker: bytes as they are, and what came back. */
import { createConnection, type Socket } from 'node:net'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { until, within } from '../../support/wait.ts'

export type Version = 3 | 4 | 5

/** All versions, as `describe.each` likes them. */
export const VERSIONS: [string, Version][] = [
  ['3.1', 3],
  ['3.1.1', 4],
  ['5', 5],
]

/** Deadline in ms for the gateway to close a connection. */
const CLOSED_WITHIN = 10_000

let attackers = 0

export class Attacker implements AsyncDisposable {
  /** What came back, as far as it is MQTT. */
  readonly packets: Packet[] = []
  readonly socket: Socket
  readonly version: Version
  /** Monotonic time in ms at which the connection was open. */
  readonly openedAt = performance.now()
  /** Resolves with the monotonic time in ms. */
  readonly closed: Promise<number>
  isClosed = false

  private constructor(socket: Socket, version: Version) {
    this.socket = socket
    this.version = version
    const decoder = parser({ protocolVersion: version })
    decoder.on('packet', packet => this.packets.push(packet))
    decoder.on('error', () => {})
    socket.on('data', bytes => decoder.parse(bytes))
    socket.on('error', () => {}) // being cut off is to be expected
    socket.setNoDelay(true)
    this.closed = new Promise(resolve => {
      socket.on('close', () => {
        this.isClosed = true
        resolve(performance.now())
      })
    })
  }

  /** Connects TCP, and says nothing. */
  static async open(port: number, version: Version = 4): Promise<Attacker> {
    const socket = createConnection(port, '127.0.0.1')
    const attacker = new Attacker(socket, version)
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return attacker
  }

  /** Connects as a client that looks honest. */
  static async connect(port: number, version: Version, options: Partial<IConnectPacket> = {}): Promise<Attacker> {
    const attacker = await Attacker.open(port, version)
    attacker.send(connectPacket(version, options))
    const connack = await attacker.next('connack')
    if ((connack.reasonCode ?? connack.returnCode) !== 0) throw new Error(`refused: ${JSON.stringify(connack)}`)
    return attacker
  }

  send(...packets: Packet[]): void {
    this.raw(...packets.map(packet => generate(packet, { protocolVersion: this.version })))
  }

  raw(...bytes: Uint8Array[]): void {
    this.socket.write(Buffer.concat(bytes))
  }

  /** Writes and waits until the kernel has taken it all, or the connection is gone. */
  async flood(bytes: Uint8Array): Promise<void> {
    if (this.isClosed || this.socket.write(bytes)) return
    await Promise.race([new Promise(resolve => this.socket.once('drain', resolve)), this.closed])
  }

  /** Waits for a packet of this kind and takes it out. */
  async next<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    const find = () => this.packets.findIndex(packet => packet.cmd === cmd)
    await until(() => find() >= 0 || this.isClosed, {
      what: () => `${cmd}; got ${JSON.stringify(this.packets)}`,
      every: 1,
    })
    if (find() < 0) throw new Error(`closed without ${cmd}; got ${JSON.stringify(this.packets)}`)
    return this.packets.splice(find(), 1)[0] as Extract<Packet, { cmd: C }>
  }

  /** A round trip: the gateway has dealt with everything before. */
  async ping(): Promise<void> {
    this.send({ cmd: 'pingreq' })
    await this.next('pingresp')
  }

  /**
   * Waits to be thrown out in the way of this version: MQTT 5 is told why by CONNACK or DISCONNECT, with one
   * of these reason codes [MQTT-4.13.1-1]; MQTT 3.x is closed without a word, or refused by CONNACK.
   */
  async thrownOut(...reasonCodes: number[]): Promise<void> {
    await within(this.closed, {
      what: () => `the end of the connection; it got ${JSON.stringify(this.packets)}`,
      timeout: CLOSED_WITHIN,
    })
    if (this.version !== 5) return
    const last = this.packets.at(-1)
    const told = last?.cmd === 'disconnect' || last?.cmd === 'connack' ? last.reasonCode : undefined
    if (told === undefined || !reasonCodes.includes(told)) {
      const expected = reasonCodes.map(code => `0x${code.toString(16)}`).join(' or ')
      throw new Error(`thrown out with ${JSON.stringify(last)} rather than ${expected}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.resetAndDestroy()
    await this.closed
  }
}

/** CONNECT of an ordinary clean session. */
export function connectPacket(version: Version, options: Partial<IConnectPacket> = {}): IConnectPacket {
  return {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: `attacker-${++attackers}`,
    clean: true,
    keepalive: 10,
    ...options,
  }
}

export function connectBytes(version: Version, options: Partial<IConnectPacket> = {}): Buffer {
  return generate(connectPacket(version, options), { protocolVersion: version })
}

/** A packet by hand: fixed header with its true remaining length, and the rest as given. */
export function frame(header: number, ...parts: (Uint8Array | number[])[]): Buffer {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)))
  return Buffer.concat([Buffer.from([header]), variableLength(body.length), body])
}

/** A UTF-8 string with its length before it. */
export function utf8(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([uint16(bytes.length), bytes])
}

export function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** A variable byte integer (§1.5.5). */
export function variableLength(value: number): Buffer {
  const bytes: number[] = []
  do {
    const digit = value % 128
    value = Math.floor(value / 128)
    bytes.push(value > 0 ? digit | 128 : digit)
  } while (value > 0)
  return Buffer.from(bytes)
}

/** MQTT 5 properties with their length before them. */
export function properties(...parts: (Uint8Array | number[])[]): Buffer {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)))
  return Buffer.concat([variableLength(body.length), body])
}
