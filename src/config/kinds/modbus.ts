/** `devices[].serial.registers`: what is read from a Modbus device and written to it. */
import * as v from 'valibot'
import { isMap, map, type Report } from '../structure.ts'
import { levelFault } from '../topics.ts'
import { choice, decimal, type Schema, text, whole } from '../values.ts'

const TYPES = [
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'uint64',
  'int64',
  'float64',
  'bool',
  'bits',
  'string',
] as const

/** What one question brings (Modbus Application Protocol 1.1b3, 6.1 and 6.3). */
const MAX_BITS = 2000
const MAX_REGISTERS = 125
const ADDRESSES = 65_536

export interface ModbusRegisterConfig {
  name: string
  unitId: number
  function: 'holding' | 'input' | 'coil' | 'discrete'
  /** As on the wire: from 0. */
  address: number
  type: (typeof TYPES)[number]
  /** Registers of a string; coils of `bits`. */
  length: number
  wordOrder: 'big' | 'little'
  byteOrder: 'big' | 'little'
  scale: number
  offset: number
  unit: string | undefined
  deviceClass: string | undefined
  stateClass: 'measurement' | 'total' | 'total_increasing' | undefined
}

export function modbusRegister(): Schema<ModbusRegisterConfig> {
  const entries = {
    name: text({ example: 'power', fault: levelFault }),
    unit_id: v.optional(whole({ min: 1, max: 247, example: 1 }), 1),
    function: v.optional(choice(['holding', 'input', 'coil', 'discrete']), 'holding'),
    address: whole({ min: 0, max: ADDRESSES - 1, example: 12 }),
    type: v.exactOptional(choice(TYPES)),
    length: v.exactOptional(whole({ min: 1, max: MAX_BITS, example: 8 })),
    word_order: v.optional(choice(['big', 'little']), 'big'),
    byte_order: v.optional(choice(['big', 'little']), 'big'),
    scale: v.optional(decimal(0.1), 1),
    offset: v.optional(decimal(-40), 0),
    unit: v.optional(text({ example: 'W' })),
    device_class: v.optional(text({ example: 'power' })),
    state_class: v.optional(choice(['measurement', 'total', 'total_increasing'])),
  }
  return v.pipe(
    map(entries, { example: 'name: power', check }),
    v.transform(({ type, length, unit, deviceClass, stateClass, ...rest }) => ({
      ...rest,
      type: type ?? (isBit(rest.function) ? 'bool' : 'uint16'),
      length: length ?? 1,
      unit,
      deviceClass,
      stateClass,
    })),
  )
}

function isBit(kind: unknown): boolean {
  return kind === 'coil' || kind === 'discrete'
}

function check(written: Record<string, unknown>, report: Report): void {
  const { type, length, scale } = written
  const ofBits = isBit(written.function)
  const hasLength = type === 'string' || (ofBits && type === 'bits')
  if (ofBits && type !== undefined && type !== 'bool' && type !== 'bits') {
    report(`a ${written.function} is bool, or several of them are bits`, ['type'])
  } else if (hasLength && length === undefined) {
    report(
      `${type} needs its ${ofBits ? 'number of coils' : 'number of registers'}, such as length: 8`,
      ['length'],
      'missing',
    )
  } else if (!hasLength && length !== undefined) {
    report('belongs to type: string, or to type: bits of coils', ['length'], 'key')
  } else if (type === 'string' && typeof length === 'number' && length > MAX_REGISTERS) {
    report(`must be up to ${MAX_REGISTERS} registers; found ${length}`, ['length'])
  }
  const end = Number(written.address) + (ofBits ? Number(length ?? 1) : wordsOf(type, length))
  if (end > ADDRESSES) report(`ends behind the last address, which is ${ADDRESSES - 1}`, ['address'])
  if (scale === 0) report('must not be 0, or every value would be the same', ['scale'])
}

/** Registers that a value takes. */
function wordsOf(type: unknown, length: unknown): number {
  if (type === 'string') return Number(length ?? 1)
  const [, bits = '16'] = /(\d+)$/.exec(`${type}`) ?? []
  return Number(bits) / 16
}

/** What is wrong between registers. */
export function checkRegisters(registers: unknown, max: number, report: Report): void {
  if (!Array.isArray(registers)) return
  if (registers.length > max) report(`has more than ${max} registers: make two devices of it`, ['registers'])
  const seen = new Set<unknown>()
  for (const [index, register] of registers.entries()) {
    if (!isMap(register)) continue
    if (seen.has(register.name)) report('is the name of a register before it as well', ['registers', index, 'name'])
    seen.add(register.name)
  }
}
