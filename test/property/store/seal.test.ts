/** The seal of a record is what zlib makes of its key and value together, and nothing else passes for it. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSealed, SEAL_LENGTH, seal } from '../../../src/store/seal.ts'

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map(array => Buffer.from(array))

test('a seal is the checksum of key and value', () => {
  fc.assert(
    fc.property(bytes(40), bytes(300), (key, value) => {
      const sealed = seal(key, value)
      expect(sealed.subarray(0, -SEAL_LENGTH).equals(value)).toBe(true)
      expect(sealed.readUInt32BE(value.length)).toBe(crc32(Buffer.concat([key, value])))
      expect(isSealed(key, sealed)).toBe(true)
    }),
  )
})

test('a bit that turned round, in the key, the value or the seal, breaks it', () => {
  fc.assert(
    fc.property(bytes(40), bytes(300), fc.nat(), (key, value, pick) => {
      const sealed = seal(key, value)
      const bit = pick % (8 * (key.length + sealed.length))
      const harmed = bit < 8 * key.length ? key : sealed
      const at = bit < 8 * key.length ? bit : bit - 8 * key.length
      harmed[at >> 3]! ^= 1 << (at & 7)
      expect(isSealed(key, sealed)).toBe(false)
    }),
  )
})

test('what is too short for a seal has none', () => {
  for (let length = 0; length < SEAL_LENGTH; length++)
    expect(isSealed(Buffer.from('m'), Buffer.alloc(length))).toBe(false)
})
