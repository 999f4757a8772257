/** What LevelDB's files are made of: checksums and numbers of variable length. */

/** Castagnoli's polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78

/** What the next byte does to the checksum, and what it does 1 to 3 bytes before. */
const TABLES = tables()

function tables(): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    return crc
  })
  const all = [first]
  for (let before = first; all.length < 4; ) {
    before = before.map(crc => (first[crc & 0xff] as number) ^ (crc >>> 8))
    all.push(before)
  }
  return all
}

/** The checksum of the bytes as LevelDB writes it: CRC-32C, masked, since it may be computed over bytes that hold checksums. */
export function crc32c(bytes: Buffer): number {
  const [a, b, c, d] = TABLES as [Int32Array, Int32Array, Int32Array, Int32Array]
  let crc = -1
  let i = 0
  // Four bytes at a time: a store of hundreds of MiB is to be checked in seconds.
  for (const end = bytes.length - 3; i < end; i += 4) {
    crc ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24)
    crc =
      (d[crc & 0xff] as number) ^
      (c[(crc >>> 8) & 0xff] as number) ^
      (b[(crc >>> 16) & 0xff] as number) ^
      (a[crc >>> 24] as number)
  }
  for (; i < bytes.length; i++) crc = (a[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8)
  return mask(crc)
}

/** The same, byte by byte. */
export class Crc32c {
  #crc = -1

  add(byte: number): void {
    this.#crc = ((TABLES[0] as Int32Array)[(this.#crc ^ byte) & 0xff] as number) ^ (this.#crc >>> 8)
  }

  get masked(): number {
    return mask(this.#crc)
  }
}

function mask(crc: number): number {
  const whole = ~crc >>> 0
  return (((whole >>> 15) | (whole << 17)) + 0xa282ead8) >>> 0
}

/** A number in as few bytes as it needs: seven bits each, the lowest first. */
export function varint(number: number): Buffer {
  const bytes: number[] = []
  let rest = number
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

/** Reads from front to back. Throws a RangeError behind the end. */
export class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#at++)
  }

  bytes(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new RangeError('LevelDB wrote more than is there')
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  /** As `varint` writes it. */
  number(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 63; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    throw new RangeError('a number of LevelDB has no end')
  }

  /** A length, and so many bytes. */
  slice(): Buffer {
    return this.bytes(this.number())
  }
}
