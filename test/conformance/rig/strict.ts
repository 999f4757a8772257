/**
 * What MQTT 5 lets a server send at all, whatever a case is about: flags, lengths, properties, reason codes, and the
 * limits that the client gave in its CONNECT. It reads the bytes itself, so that nothing is forgiven. On the
 * way it looks topic aliases up and gives user properties in their order.
 */
import { type Packet, parser } from 'mqtt-packet'
import type { Fields } from './format.ts'

type Type = 'bit' | 'two' | 'four' | 'variable' | 'string' | 'binary' | 'pair'

interface Property {
  type: Type
  /** Packets of a server that may have it. */
  packets: readonly string[]
  /** 0 is an error. */
  positive?: true
}

const REASONED = ['connack', 'puback', 'pubrec', 'pubrel', 'pubcomp', 'suback', 'unsuback', 'disconnect', 'auth']

/** Table 2-4, for the way from server to client. */
const PROPERTIES: Readonly<Record<number, Property>> = {
  1: { type: 'bit', packets: ['publish'] },
  2: { type: 'four', packets: ['publish'] },
  3: { type: 'string', packets: ['publish'] },
  8: { type: 'string', packets: ['publish'] },
  9: { type: 'binary', packets: ['publish'] },
  11: { type: 'variable', packets: ['publish'], positive: true },
  // Not in DISCONNECT [MQTT-3.14.2-2].
  17: { type: 'four', packets: ['connack'] },
  18: { type: 'string', packets: ['connack'] },
  19: { type: 'two', packets: ['connack'] },
  21: { type: 'string', packets: ['connack', 'auth'] },
  22: { type: 'binary', packets: ['connack', 'auth'] },
  26: { type: 'string', packets: ['connack'] },
  28: { type: 'string', packets: ['connack', 'disconnect'] },
  31: { type: 'string', packets: REASONED },
  33: { type: 'two', packets: ['connack'], positive: true },
  34: { type: 'two', packets: ['connack'] },
  35: { type: 'two', packets: ['publish'], positive: true },
  36: { type: 'bit', packets: ['connack'] },
  37: { type: 'bit', packets: ['connack'] },
  38: { type: 'pair', packets: [...REASONED, 'publish'] },
  39: { type: 'four', packets: ['connack'], positive: true },
  40: { type: 'bit', packets: ['connack'] },
  41: { type: 'bit', packets: ['connack'] },
  42: { type: 'bit', packets: ['connack'] },
}
const SUBSCRIPTION_IDENTIFIER = 11
const RESPONSE_TOPIC = 8
const RESPONSE_INFORMATION = 26
const REASON_STRING = 31
const TOPIC_ALIAS = 35
const USER_PROPERTY = 38
const AUTHENTICATION_METHOD = 21

const RECEIVED = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const RELEASED = [0x00, 0x92]

/** Tables 3-1 and 3-4 to 3-11, without what only a client may send. */
const CODES: Readonly<Record<string, readonly number[]>> = {
  connack: [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
    0x9c, 0x9d, 0x9f,
  ],
  puback: RECEIVED,
  pubrec: RECEIVED,
  pubrel: RELEASED,
  pubcomp: RELEASED,
  suback: [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
  unsuback: [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
  disconnect: [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ],
  auth: [0x00, 0x18],
}

/** Longest variable byte integers of 1, 2 and 3 bytes. */
const SHORTER = [127, 16_383, 2_097_151]

/** Bytes as the standard has them. Throws an Error that says what is wrong with them. */
class Reader {
  at = 0
  readonly bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  take(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw new Error('it ends too soon')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  number(bytes: number): number {
    return this.take(bytes).readUIntBE(0, bytes)
  }

  /** [MQTT-1.5.5-1] */
  variable(): number {
    let value = 0
    for (let count = 0; count < 4; count++) {
      const byte = this.number(1)
      value += (byte & 0x7f) * 128 ** count
      if (byte >= 0x80) continue
      if (count > 0 && value <= (SHORTER[count - 1] ?? 0)) throw new Error(`${value} takes ${count + 1} bytes`)
      return value
    }
    throw new Error('a variable byte integer has more than four bytes')
  }

  /** [MQTT-1.5.4-1] [MQTT-1.5.4-2] */
  string(): string {
    const bytes = this.take(this.number(2))
    const content = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    if (content.includes('\0')) throw new Error('a string has U+0000')
    return content
  }

  part(length: number): Reader {
    return new Reader(this.take(length))
  }

  get more(): boolean {
    return this.at < this.bytes.length
  }
}

interface Arrival {
  bytes: Buffer
  cmd: string
  packet: Fields
}

export class Strict {
  /** Properties of the CONNECT, as far as it could be read. */
  readonly #asked: Fields
  readonly #aliases = new Map<number, string>()
  #connacks = 0
  #ended = false

  constructor(asked: Fields) {
    this.#asked = asked
  }

  /** For a connection that begins with these bytes; undefined when they are no CONNECT of MQTT 5. */
  static of(bytes: Buffer): Strict | undefined {
    const name = bytes.indexOf('\0\x04MQTT\x05')
    if (bytes[0] !== 0x10 || name < 2 || name > 5) return undefined
    let asked: Fields = {}
    const decoder = parser({ protocolVersion: 5 })
    decoder.once('packet', (packet: Packet) => {
      asked = ((packet as unknown as Fields).properties ?? {}) as Fields
    })
    decoder.on('error', () => {}) // malformed on purpose
    decoder.parse(bytes)
    return new Strict(asked)
  }

  /** What is wrong with a packet that came, for the failure message. Writes `topic`, `aliased` and `pairs` of the packet. */
  check({ bytes, cmd, packet }: Arrival): string | undefined {
    try {
      this.#order(cmd)
      this.#size(bytes, packet)
      const reader = new Reader(bytes)
      const flags = reader.number(1) & 0x0f
      reader.variable()
      this.#body(reader, cmd, flags, packet)
      return undefined
    } catch (error) {
      return `${cmd} came that no server may send: ${error instanceof Error ? error.message : error}`
    }
  }

  #order(cmd: string): void {
    if (this.#ended) throw new Error('it came after DISCONNECT [MQTT-3.14.4-1]')
    if (cmd === 'disconnect') this.#ended = true
    if (cmd === 'connack' && ++this.#connacks > 1) throw new Error('it is the second [MQTT-3.2.0-2]')
    if (cmd === 'auth' && this.#asked.authenticationMethod === undefined) {
      throw new Error('the client did not ask for it [MQTT-4.12.0-6]')
    }
    if (['connect', 'subscribe', 'unsubscribe', 'pingreq'].includes(cmd)) throw new Error('it is for clients')
  }

  #size(bytes: Buffer, { cmd }: Fields): void {
    const limit = this.#asked.maximumPacketSize as number | undefined
    if (limit !== undefined && limit > 0 && bytes.length > limit) {
      throw new Error(`${cmd} has ${bytes.length} bytes, the client takes ${limit} [MQTT-3.1.2-24]`)
    }
  }

  #body(reader: Reader, cmd: string, flags: number, packet: Fields): void {
    switch (cmd) {
      case 'connack': {
        const present = reader.number(1)
        const code = reader.number(1)
        if (present > 1) throw new Error('a reserved flag is set [MQTT-3.2.2-1]')
        if (code !== 0 && present !== 0) throw new Error('it refuses with session present [MQTT-3.2.2-6]')
        checkCode(cmd, code)
        this.#properties(reader, cmd, packet)
        break
      }
      case 'publish':
        this.#publish(reader, flags, packet)
        return
      case 'suback':
      case 'unsuback':
        if (reader.number(2) === 0) throw new Error('its identifier is 0')
        this.#properties(reader, cmd, packet)
        if (!reader.more) throw new Error('it has no reason code')
        while (reader.more) checkCode(cmd, reader.number(1))
        break
      case 'puback':
      case 'pubrec':
      case 'pubrel':
      case 'pubcomp':
        if (reader.number(2) === 0) throw new Error('its identifier is 0')
        if (reader.more) checkCode(cmd, reader.number(1))
        if (reader.more) this.#properties(reader, cmd, packet)
        break
      case 'disconnect':
      case 'auth':
        if (reader.more) checkCode(cmd, reader.number(1))
        if (reader.more) this.#properties(reader, cmd, packet)
        break
    }
    if (reader.more) throw new Error('it goes on behind its end')
  }

  #publish(reader: Reader, flags: number, packet: Fields): void {
    const qos = (flags >> 1) & 3
    // [MQTT-3.3.1-2] [MQTT-3.3.1-4]
    if (qos === 3 || (qos === 0 && (flags & 8) !== 0)) throw new Error(`its flags are ${flags}`)
    const topic = reader.string()
    if (/[+#]/.test(topic)) throw new Error('its topic has wildcards [MQTT-3.3.2-2]')
    if (qos > 0 && reader.number(2) === 0) throw new Error('its identifier is 0 [MQTT-2.2.1-4]')
    this.#properties(reader, 'publish', packet)
    const alias = (packet.properties as Fields | undefined)?.topicAlias as number | undefined
    packet.aliased = topic === ''
    if (topic !== '') {
      if (alias !== undefined) this.#aliases.set(alias, topic)
      return
    }
    packet.topic = this.#aliases.get(alias ?? 0)
    if (packet.topic === undefined) throw new Error('its topic is empty, its alias stands for nothing')
  }

  #properties(packetReader: Reader, cmd: string, packet: Fields): void {
    const reader = packetReader.part(packetReader.variable())
    const seen = new Set<number>()
    const pairs: [string, string][] = []
    while (reader.more) {
      const id = reader.variable()
      const property = PROPERTIES[id]
      if (property?.packets.includes(cmd) !== true) throw new Error(`property ${id} is not for it`)
      if (seen.has(id) && id !== USER_PROPERTY && id !== SUBSCRIPTION_IDENTIFIER) {
        throw new Error(`property ${id} is there twice`)
      }
      seen.add(id)
      const value = readValue(reader, property)
      if (id === USER_PROPERTY) pairs.push(value as [string, string])
      this.#allowed(cmd, id, value)
    }
    packet.pairs = pairs
  }

  #allowed(cmd: string, id: number, value: unknown): void {
    const { topicAliasMaximum, requestProblemInformation, requestResponseInformation } = this.#asked
    if (id === TOPIC_ALIAS && Number(value) > Number(topicAliasMaximum ?? 0)) {
      throw new Error(`its topic alias is ${value} of ${topicAliasMaximum ?? 0} [MQTT-3.1.2-26] [MQTT-3.1.2-27]`)
    }
    if (id === RESPONSE_TOPIC && /[+#]/.test(String(value))) throw new Error('its response topic has wildcards')
    if (id === RESPONSE_INFORMATION && requestResponseInformation !== true) {
      throw new Error('it has response information that was not asked for [MQTT-3.1.2-28]')
    }
    const isProblem = id === REASON_STRING || id === USER_PROPERTY
    const isFree = ['publish', 'connack', 'disconnect'].includes(cmd)
    if (isProblem && !isFree && requestProblemInformation === false) {
      throw new Error('it has problem information that was not asked for [MQTT-3.1.2-29]')
    }
    if (id === AUTHENTICATION_METHOD && value !== this.#asked.authenticationMethod) {
      throw new Error(`its authentication method is ${value} [MQTT-4.12.0-5] [MQTT-4.12.0-6]`)
    }
  }
}

function checkCode(cmd: string, code: number): void {
  if (CODES[cmd]?.includes(code) !== true) throw new Error(`its reason code is 0x${code.toString(16)}`)
}

function readValue(reader: Reader, { type, positive }: Property): unknown {
  switch (type) {
    case 'string':
      return reader.string()
    case 'pair':
      return [reader.string(), reader.string()]
    case 'binary':
      return reader.take(reader.number(2))
  }
  const value = type === 'variable' ? reader.variable() : reader.number(type === 'bit' ? 1 : type === 'two' ? 2 : 4)
  if (positive === true && value === 0) throw new Error('a property that must not be 0 is 0')
  if (type === 'bit' && value > 1) throw new Error(`a property that must be 0 or 1 is ${value}`)
  return value
}
