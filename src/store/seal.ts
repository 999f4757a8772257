/**
 * The seal of a record: a checksum over its key and its value, which stands behind the value. LevelDB checks those of its own
 * blocks only when it rewrites them: a card that turns a bit round would otherwise change a message unseen.
 */
import { crc32 } from 'node:zlib'

/** Bytes of a seal: CRC-32 as in zlib, big endian. */
export const SEAL_LENGTH = 4

/** The polynomial, bits reversed. */
const POLYNOMIAL = 0xedb88320

/** What the next byte does to the checksum. */
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
  return crc
})

/** The value as it is written: with its seal behind it. */
export function seal(key: Buffer, value: Buffer): Buffer {
  const sealed = Buffer.allocUnsafe(value.length + SEAL_LENGTH)
  sealed.set(value)
  const ofKey = checksum(key)
  // Of no bytes, crc32 may forget what came before: that depends on where the empty buffer came from.
  sealed.writeUInt32BE(value.length === 0 ? ofKey : crc32(value, ofKey), value.length)
  return sealed
}

/** True when `sealed`, a value with its seal behind it, is what was written for the key. */
export function isSealed(key: Buffer, sealed: Buffer): boolean {
  const end = sealed.length - SEAL_LENGTH
  if (end < 0) return false
  // The checksum of all, the seal too, is what that of the value becomes when it goes on over itself: nothing has to be cut out.
  const found = sealed.readInt32BE(end)
  let expected = ~found
  for (let i = end; i < sealed.length; i++) expected = step(expected, sealed[i]!)
  return (crc32(sealed, checksum(key)) | 0) === ~expected
}

/** In JavaScript, since for the few bytes of a key the way to zlib takes longer. */
function checksum(key: Buffer): number {
  let crc = -1
  for (let i = 0; i < key.length; i++) crc = step(crc, key[i]!)
  return ~crc >>> 0
}

function step(crc: number, byte: number): number {
  return TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
}
