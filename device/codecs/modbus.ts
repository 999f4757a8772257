/**
 * Modbus RTU: asks for registers and coils, and writes them (Modbus over Serial Line 1.02, Application Protocol 1.1b3). The values of one
 * round become one reading. An answer must come from the unit that was asked, be of the length that was asked for, and have the
 * right CRC; nothing in it says which registers it is about, so a late one must be kept from the codec by whoever asks.
 *
 * `modbus-serial` does not serve here: its RTU port opens the serial port itself and keeps its parser and its timeouts inside.
 */
import type { Value, ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { FrameScanner } from './frames.ts'
import {
  bitsOf,
  bytesOf,
  dataLength,
  holdsBits,
  plan,
  READ,
  type Span,
  sizeOf,
  switchOf,
  valueIn,
} from './modbus-registers.ts'
import type { ModbusRegister, ModbusSettings } from './settings.ts'
import { crc16 } from './sums.ts'
import { excerpt, MAX_VALUES, Values } from './values.ts'

/** Function codes that write (6.5, 6.6, 6.11, 6.12). */
const WRITE = { coil: 5, register: 6, coils: 15, registers: 16 } as const
const COIL_ON = 0xff00
/** Set in the function code of an answer that is a refusal (7). */
const REFUSED = 0x80

const REFUSAL_LENGTH = 5
/** Unit, function, count of bytes; CRC. */
const ANSWER_OVERHEAD = 5
/** A write is answered with its unit, function, address and count or value, and a CRC. */
const WRITE_ECHO = 6
const WRITE_ANSWER = 8

/** Exception codes (7). */
const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: 'illegal function',
  2: 'illegal data address',
  3: 'illegal data value',
  4: 'server device failure',
  5: 'acknowledge',
  6: 'server device busy',
  8: 'memory parity error',
  10: 'gateway path unavailable',
  11: 'gateway target device failed to respond',
}

const PLACES = {
  coil: 'coils',
  discrete: 'discrete inputs',
  holding: 'holding registers',
  input: 'input registers',
} as const

/** Throws an `Error` when a register does not fit into a question, or there are too many. */
export function modbusCodec({ registers, maxGap }: Omit<ModbusSettings, 'codec'>, events: CodecEvents): Codec {
  if (registers.length > MAX_VALUES) throw new Error(`more than ${MAX_VALUES} registers`)
  const spans = plan(registers, maxGap)
  let asked: number | undefined
  /** The beginning of the answer to the command that was made last. */
  let write: { echo: Buffer; name: string } | undefined
  let gathered = new Values()

  const scanner = new FrameScanner({
    lengthAt(bytes, at) {
      const span = asked === undefined ? undefined : spans[asked]
      const unit = bytes[at]
      const code = bytes[at + 1]
      const isOfSpan = span?.unitId === unit
      const isOfWrite = write?.echo[0] === unit
      if (!isOfSpan && !isOfWrite) return 0
      if (code === undefined) return undefined
      if (isOfWrite && code === write?.echo[1]) return WRITE_ANSWER
      if (isOfWrite && code === REFUSED + (write?.echo[1] ?? 0)) return REFUSAL_LENGTH
      if (span === undefined || !isOfSpan) return 0
      if (code === REFUSED + READ[span.function]) return REFUSAL_LENGTH
      if (code !== READ[span.function]) return 0
      const count = bytes[at + 2]
      return count === undefined ? undefined : count === dataLength(span) ? ANSWER_OVERHEAD + count : 0
    },
    take(frame) {
      // The CRC of a frame with its CRC is nought.
      if (crc16(frame, 0xffff) !== 0) {
        events.fault('an answer with a wrong CRC was dropped')
        return false
      }
      return ((frame[1] ?? 0) & ~REFUSED) === write?.echo[1] ? takeWritten(frame) : takeAnswer(frame)
    },
  })

  function takeAnswer(frame: Buffer): boolean {
    const index = asked
    const span = spans[index ?? -1]
    if (index === undefined || span === undefined) return false
    asked = undefined
    if (frame.length === REFUSAL_LENGTH)
      events.fault(`unit ${span.unitId} refused ${describe(span)}: ${exceptionIn(frame)}`)
    else gather(span, frame.subarray(3, -2))
    if (index === spans.length - 1) give()
    events.answered()
    return true
  }

  function takeWritten(frame: Buffer): boolean {
    if (write === undefined) return false
    const { echo, name } = write
    const isRefusal = frame.length === REFUSAL_LENGTH
    if (!isRefusal && echo.compare(frame, 0, WRITE_ECHO) !== 0) return false
    write = undefined
    if (isRefusal) events.fault(`unit ${frame[0]} refused to write ${name}: ${exceptionIn(frame)}`)
    events.answered()
    return true
  }

  function gather(span: Span, data: Buffer): void {
    for (const register of span.registers) {
      const value = valueIn(data, span.from, register)
      if (value !== undefined) gathered.set(register.name, value)
    }
  }

  function give(): void {
    const values = gathered
    gathered = new Values()
    if (values.count > 0) events.reading({ value: values.byName })
  }

  return {
    push: chunk => scanner.push(chunk),
    questions: spans.map(span => frameOf(span.unitId, READ[span.function], span.from, span.count)),
    asked(index) {
      scanner.reset()
      write = undefined
      asked = index
    },
    finished() {
      asked = undefined
      give()
    },
    encode(command) {
      const { register, value } = parseCommand(command, registers)
      const frame = writeFrame(register, value)
      scanner.reset()
      asked = undefined
      write = { echo: frame.subarray(0, WRITE_ECHO), name: register.name }
      return frame
    },
    values: Object.fromEntries(registers.map(register => [register.name, describeValue(register)])),
    get held() {
      return scanner.held
    },
  }
}

function describeValue({ unit, deviceClass, stateClass }: ModbusRegister): ValueDescription {
  return { unit, deviceClass, stateClass }
}

function describe({ function: kind, from, count }: Span): string {
  return `${PLACES[kind]} ${from}${count === 1 ? '' : ` to ${from + count - 1}`}`
}

function exceptionIn(frame: Buffer): string {
  const code = frame[2] ?? 0
  return `${EXCEPTIONS[code] ?? 'an exception'} (${code})`
}

/** `{"name": value}` or `name=value`. Throws an `Error` that says what is accepted. */
function parseCommand(
  command: string,
  registers: readonly ModbusRegister[],
): { register: ModbusRegister; value: Value } {
  const writable = registers.filter(({ function: kind }) => kind === 'holding' || kind === 'coil')
  const [name, value] = entryOf(command)
  const register = writable.find(each => each.name === name)
  const isValue = typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean'
  if (register !== undefined && isValue) return { register, value }
  const names =
    writable.length === 0
      ? 'nothing here can be written'
      : `can be written: ${writable.map(each => each.name).join(', ')}`
  throw new Error(`${excerpt(command)} is not {"name": value} or name=value; ${names}`)
}

function entryOf(command: string): [name: string | undefined, value: unknown] {
  const [, name, text] = /^\s*([^={]+?)\s*=\s*(.*?)\s*$/.exec(command) ?? []
  if (name !== undefined) return [name, text]
  try {
    const entries = Object.entries(JSON.parse(command) as object)
    return entries.length === 1 ? (entries[0] as [string, unknown]) : [undefined, undefined]
  } catch {
    return [undefined, undefined]
  }
}

function writeFrame(register: ModbusRegister, value: Value): Buffer {
  const { unitId, address, type } = register
  const size = sizeOf(register)
  if (holdsBits(register)) {
    if (type !== 'bits') return frameOf(unitId, WRITE.coil, address, switchOf(value, register) ? COIL_ON : 0)
    const data = Buffer.alloc(Math.ceil(size / 8))
    ;[...bitsOf(value, size, register)].forEach((bit, i) => {
      data[i >> 3] = (data[i >> 3] ?? 0) | (Number(bit) << (i & 7))
    })
    return frameOf(unitId, WRITE.coils, address, size, data)
  }
  const data = bytesOf(value, register)
  if (size === 1) return frameOf(unitId, WRITE.register, address, data.readUInt16BE())
  return frameOf(unitId, WRITE.registers, address, size, data)
}

/** Unit, function, two numbers, perhaps data with its length, and the CRC, low byte first. */
function frameOf(unit: number, code: number, first: number, second: number, data?: Buffer): Buffer {
  const body = Buffer.from([unit, code, first >> 8, first & 0xff, second >> 8, second & 0xff])
  const frame = data === undefined ? body : Buffer.concat([body, Buffer.of(data.length), data])
  const crc = crc16(frame, 0xffff)
  return Buffer.concat([frame, Buffer.of(crc & 0xff, crc >> 8)])
}
