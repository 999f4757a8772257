/** Packets as the tables write them, in hex with spaces, and what comes of malformed ones. */
import { expect } from 'vitest'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'

export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

/** Bytes of a variable byte integer. */
export function lengthOf(value: number): number[] {
  const bytes: number[] = []
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0))
    value >>= 7
  } while (value > 0)
  return bytes
}

/** Fixed header and body, the latter in hex with spaces. */
export function frame(header: number, body: string): Buffer {
  const bytes = bytesOf(body)
  return Buffer.concat([Buffer.from([header, ...lengthOf(bytes.length)]), bytes])
}

/** Properties behind their length, in hex without spaces. */
export function properties(hex: string): string {
  const bytes = bytesOf(hex)
  return Buffer.from([...lengthOf(bytes.length), ...bytes]).toString('hex')
}

export function faultOf(decode: () => unknown): MalformedPacketError {
  let taken: unknown
  try {
    taken = decode()
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedPacketError)
    return error as MalformedPacketError
  }
  throw new Error(`taken for ${JSON.stringify(taken)}`)
}
