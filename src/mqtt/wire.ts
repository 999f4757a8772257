/**
 * The data types that packets are made of (MQTT 5 §1.5), for all packets but the short hot ones: a reader
 * that never looks behind the end of its packet, and writers. What is read is copied, so it does not keep
 * the bytes it came with.
 */
import { MalformedPacketError } from './malformed.ts'
import { MAX_REMAINING_LENGTH } from './packets.ts'
import { checkUtf8, decodeUtf8 } from './utf8.ts'

/** Bytes of a string or of binary data: their length is sent in two bytes (MQTT 5 §1.5.4, §1.5.6). */
const MAX_FIELD_BYTES = 65_535

/** Reads buffer[at..end). All methods throw MalformedPacketError; `what` names the thing read: 'will topic'. */
export class WireReader {
  at: number
  readonly end: number
  readonly #buffer: Buffer
  /** What ends at `end`: 'CONNECT', 'the property list'. */
  readonly #name: string

  constructor(name: string, buffer: Buffer, at: number, end: number) {
    this.#name = name
    this.#buffer = buffer
    this.at = at
    this.end = end
  }

  byte(what: string): number {
    return this.#buffer[this.#take(1, what)]!
  }

  twoByteInteger(what: string): number {
    return this.#buffer.readUInt16BE(this.#take(2, what))
  }

  fourByteInteger(what: string): number {
    return this.#buffer.readUInt32BE(this.#take(4, what))
  }

  variableByteInteger(what: string): number {
    let value = 0
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.byte(what)
      value |= (byte & 0x7f) << shift
      if (byte > 0x7f) continue
      // [MQTT-1.5.5-1]
      if (byte === 0 && shift > 0) throw new MalformedPacketError(`the ${what} takes more bytes than it needs`)
      return value
    }
    throw new MalformedPacketError(`the ${what} has more than four bytes`)
  }

  string(what: string): string {
    const start = this.#field(what)
    return decodeUtf8(this.#buffer, start, this.at, what)
  }

  /** Goes past a string that nobody needs, but checks it. */
  skipString(what: string): void {
    const start = this.#field(what)
    checkUtf8(this.#buffer, start, this.at, what)
  }

  binaryData(what: string): Buffer {
    const start = this.#field(what)
    return Buffer.from(this.#buffer.subarray(start, this.at))
  }

  skipBinaryData(what: string): void {
    this.#field(what)
  }

  /** A reader for the next `length` bytes, which this one goes past. */
  part(length: number, name: string): WireReader {
    const start = this.#take(length, name)
    return new WireReader(`the ${name}`, this.#buffer, start, this.at)
  }

  /** Throws when anything is left. */
  finish(): void {
    if (this.at !== this.end) throw new MalformedPacketError(`there are bytes behind the end of ${this.#name}`)
  }

  /** Goes past the next two bytes of length and what they announce. Returns where the latter begins. */
  #field(what: string): number {
    return this.#take(this.twoByteInteger(what), what)
  }

  #take(bytes: number, what: string): number {
    const start = this.at
    if (bytes > this.end - start) throw new MalformedPacketError(`${this.#name} is too short for its ${what}`)
    this.at = start + bytes
    return start
  }
}

/** Where the variable header of a packet begins. Throws MalformedPacketError unless it is exactly as long as its fixed header says. */
export function bodyOf(packet: Buffer): number {
  let remaining = 0
  for (let i = 1; i <= 4; i++) {
    const byte = packet[i]
    if (byte === undefined) break
    remaining |= (byte & 0x7f) << (7 * (i - 1))
    if (byte > 0x7f) continue
    if (i + 1 + remaining !== packet.length) break
    return i + 1
  }
  throw new MalformedPacketError('the remaining length is not the length of the packet')
}

/** A whole packet: its first byte, its remaining length and these parts. Throws RangeError when no packet can hold them. */
export function encodePacket(header: number, ...parts: Uint8Array[]): Buffer {
  let remaining = 0
  for (const part of parts) remaining += part.length
  if (remaining > MAX_REMAINING_LENGTH) throw new RangeError(`a packet cannot hold ${remaining} bytes`)
  const packet = Buffer.allocUnsafe(1 + variableLength(remaining) + remaining)
  packet[0] = header
  let at = writeVariable(packet, 1, remaining)
  for (const part of parts) {
    packet.set(part, at)
    at += part.length
  }
  return packet
}

export function encodeTwoByteInteger(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** Throws RangeError when the string is too long for the wire. */
export function encodeString(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(2 + length)
  bytes.writeUInt16BE(checkFieldLength(length))
  bytes.write(text, 2)
  return bytes
}

/** Throws RangeError when the data is too long for the wire. */
export function encodeBinaryData(data: Uint8Array): Buffer {
  return Buffer.concat([encodeTwoByteInteger(checkFieldLength(data.length)), data])
}

/** Throws RangeError when a variable byte integer cannot be that large. */
export function encodeVariableByteInteger(value: number): Buffer {
  if (value > MAX_REMAINING_LENGTH) throw new RangeError(`${value} is too large for a variable byte integer`)
  const bytes = Buffer.allocUnsafe(variableLength(value))
  writeVariable(bytes, 0, value)
  return bytes
}

/** Bytes of a variable byte integer. */
export function variableLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}

/** Writes a variable byte integer and returns the offset after it. */
export function writeVariable(target: Buffer, at: number, value: number): number {
  while (value > 0x7f) {
    target[at++] = (value & 0x7f) | 0x80
    value >>= 7
  }
  target[at++] = value
  return at
}

function checkFieldLength(length: number): number {
  if (length > MAX_FIELD_BYTES) throw new RangeError(`a field of ${length} bytes is longer than ${MAX_FIELD_BYTES}`)
  return length
}
