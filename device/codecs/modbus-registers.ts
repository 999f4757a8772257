/**
 * What stands in the registers of a Modbus device: how many of them a value takes, how its bytes are read and written, and
 * which questions bring all that is wanted with the fewest frames (Modbus Application Protocol 1.1b3).
 */
import type { Value } from '../../src/devices/ports.ts'
import type { ModbusRegister, ModbusType } from './settings.ts'
import { clean } from './values.ts'

/** Function codes that read (6.1 to 6.4). */
export const READ = { coil: 1, discrete: 2, holding: 3, input: 4 } as const
/** What one question may ask for (6.1, 6.3). */
const MAX_BITS = 2000
const MAX_REGISTERS = 125
/** Bits that are read along for nothing as cheaply as a register. */
const BITS_OF_REGISTER = 16
const ADDRESSES = 65_536

/** Significant digits that 32 bits of a floating point number hold. */
const FLOAT_DIGITS = 7

/** Registers that a number takes. */
const WORDS: Readonly<Record<Exclude<ModbusType, 'string'>, number>> = {
  uint16: 1,
  int16: 1,
  bool: 1,
  bits: 1,
  uint32: 2,
  int32: 2,
  float32: 2,
  uint64: 4,
  int64: 4,
  float64: 4,
}

const INTEGER_BITS: Readonly<Partial<Record<ModbusType, number>>> = {
  uint16: 16,
  int16: 16,
  uint32: 32,
  int32: 32,
  uint64: 64,
  int64: 64,
}

/** Neighbours that are read with one question. */
export interface Span {
  readonly unitId: number
  readonly function: ModbusRegister['function']
  readonly from: number
  /** Registers or bits. */
  readonly count: number
  readonly registers: readonly ModbusRegister[]
}

export function holdsBits({ function: kind }: Pick<ModbusRegister, 'function'>): boolean {
  return kind === 'coil' || kind === 'discrete'
}

/** Registers or bits that a value takes. */
export function sizeOf(register: ModbusRegister): number {
  if (holdsBits(register)) return register.type === 'bits' ? register.length : 1
  return register.type === 'string' ? register.length : WORDS[register.type]
}

/** The questions, in the order in which their first register was named. Throws an `Error` for a value that does not fit into one. */
export function plan(registers: readonly ModbusRegister[], maxGap: number): Span[] {
  const groups = new Map<string, ModbusRegister[]>()
  for (const register of registers) {
    const key = `${register.unitId} ${register.function}`
    groups.set(key, [...(groups.get(key) ?? []), register])
  }
  return [...groups.values()].flatMap(group => spansOf(group, maxGap))
}

function spansOf(group: readonly ModbusRegister[], maxGap: number): Span[] {
  const spans: Span[] = []
  for (const register of group.toSorted((a, b) => a.address - b.address)) {
    const { unitId, address } = register
    const isBits = holdsBits(register)
    const limit = isBits ? MAX_BITS : MAX_REGISTERS
    const size = sizeOf(register)
    if (size > limit || address + size > ADDRESSES) throw new Error(`${register.name} does not fit into one question`)
    const last = spans.at(-1)
    const count = Math.max(last?.count ?? 0, address + size - (last?.from ?? 0))
    const gap = address - (last?.from ?? 0) - (last?.count ?? 0)
    if (last !== undefined && count <= limit && gap <= maxGap * (isBits ? BITS_OF_REGISTER : 1)) {
      spans[spans.length - 1] = { ...last, count, registers: [...last.registers, register] }
    } else spans.push({ unitId, function: register.function, from: address, count: size, registers: [register] })
  }
  return spans
}

/** Bytes of data in the answer. */
export function dataLength(span: Span): number {
  return holdsBits(span) ? Math.ceil(span.count / 8) : span.count * 2
}

/** The value of a register in the data of an answer; undefined for a floating point number that is none. */
export function valueIn(data: Buffer, from: number, register: ModbusRegister): Value | undefined {
  const at = register.address - from
  if (holdsBits(register)) {
    const bits = Array.from({ length: sizeOf(register) }, (_, i) => ((data[(at + i) >> 3] ?? 0) >> ((at + i) & 7)) & 1)
    return register.type === 'bits' ? bits.join('') : bits[0] === 1
  }
  const bytes = ordered(data.subarray(at * 2, (at + sizeOf(register)) * 2), register)
  switch (register.type) {
    case 'bool':
      return bytes.readUInt16BE() !== 0
    case 'bits':
      return bytes.readUInt16BE().toString(2).padStart(16, '0')
    case 'string':
      return bytes.toString('utf8').split('\0', 1)[0]?.trimEnd() ?? ''
    default: {
      const number = numberIn(bytes, register.type)
      if (!Number.isFinite(number)) return undefined
      const { scale, offset } = register
      return scale === 1 && offset === 0 ? number : clean(number * scale + offset)
    }
  }
}

function numberIn(bytes: Buffer, type: ModbusType): number {
  if (type === 'float32') return Number(bytes.readFloatBE().toPrecision(FLOAT_DIGITS))
  if (type === 'float64') return bytes.readDoubleBE()
  const unsigned = bytes.reduce((all, byte) => (all << 8n) | BigInt(byte), 0n)
  return Number(type.startsWith('u') ? unsigned : BigInt.asIntN(bytes.length * 8, unsigned))
}

/** From the order on the wire to that of the standard, or back: high register first, high byte first. */
function ordered(bytes: Buffer, { wordOrder, byteOrder }: ModbusRegister): Buffer {
  const result = Buffer.from(bytes)
  // Turned round as a whole, words and bytes have both changed places; turned in pairs, the bytes have.
  if (wordOrder === 'little') result.reverse()
  return (wordOrder === 'little') !== (byteOrder === 'little') ? result.swap16() : result
}

/** What stands in a register that has this value. Throws an `Error` that says what is accepted. */
export function bytesOf(value: Value, register: ModbusRegister): Buffer {
  const { type } = register
  const bytes = Buffer.alloc(sizeOf(register) * 2)
  if (type === 'bool') bytes.writeUInt16BE(switchOf(value, register) ? 1 : 0)
  else if (type === 'bits') bytes.writeUInt16BE(Number.parseInt(bitsOf(value, BITS_OF_REGISTER, register), 2))
  else if (type === 'string') {
    const text = Buffer.from(String(value))
    if (text.length > bytes.length) throw refusal(register, `text of up to ${bytes.length} bytes`)
    text.copy(bytes)
  } else writeNumber(bytes, value, register)
  return ordered(bytes, register)
}

function writeNumber(bytes: Buffer, value: Value, register: ModbusRegister): void {
  const { type, scale, offset } = register
  const written = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof written !== 'number' || !Number.isFinite(written)) throw refusal(register, 'a number')
  const number = scale === 1 && offset === 0 ? written : clean((written - offset) / scale)
  const bits = INTEGER_BITS[type]
  if (bits === undefined) {
    type === 'float32' ? bytes.writeFloatBE(number) : bytes.writeDoubleBE(number)
    return
  }
  const [low, high] = type.startsWith('u') ? [0, 2 ** bits] : [-(2 ** (bits - 1)), 2 ** (bits - 1)]
  const whole = Math.round(number)
  if (whole < low || whole >= high) {
    const ends = [low, high - 1].map(end => clean(end * scale + offset)).sort((a, b) => a - b)
    throw refusal(register, `a number from ${ends[0]} to ${ends[1]}`)
  }
  let rest = BigInt.asUintN(bits, BigInt(whole))
  for (let at = bytes.length - 1; at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 0xffn)
}

/** `true`, `on`, `1`, and their opposites. Throws an `Error` for anything else. */
export function switchOf(value: Value, register: ModbusRegister): boolean {
  const word = String(value).toLowerCase()
  if (['true', 'on', '1'].includes(word)) return true
  if (['false', 'off', '0'].includes(word)) return false
  throw refusal(register, 'true or false')
}

/** `count` digits 0 and 1. Throws an `Error` for anything else. */
export function bitsOf(value: Value, count: number, register: ModbusRegister): string {
  if (typeof value === 'string' && value.length === count && /^[01]+$/.test(value)) return value
  throw refusal(register, `the text of ${count} digits 0 and 1`)
}

function refusal({ name }: ModbusRegister, what: string): Error {
  return new Error(`${name} takes ${what}`)
}
