/** Modbus RTU: questions, answers, refusals and writes, by the examples of the standard. */
import { describe, expect, it } from 'vitest'
import { bytesOf, valueIn } from '../../../device/codecs/modbus-registers.ts'
import type { ModbusRegister } from '../../../device/codecs/settings.ts'
import { crc16 } from '../../../device/codecs/sums.ts'
import { decoder } from '../../support/decode.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** Bytes with their CRC. */
function frame(text: string): Buffer {
  const body = hex(text)
  const crc = crc16(body, 0xffff)
  return Buffer.concat([body, Buffer.of(crc & 0xff, crc >> 8)])
}

function register(name: string, address: number, more: Partial<ModbusRegister> = {}): ModbusRegister {
  return {
    name,
    address,
    unitId: 1,
    function: 'holding',
    type: 'uint16',
    length: 1,
    wordOrder: 'big',
    byteOrder: 'big',
    scale: 1,
    offset: 0,
    ...more,
  }
}

const modbus = (registers: ModbusRegister[], maxGap = 8) => decoder({ codec: 'modbus', registers, maxGap })
const questionsOf = (registers: ModbusRegister[], maxGap?: number) =>
  (modbus(registers, maxGap).codec.questions ?? []).map(question => question.toString('hex'))

describe('questions', () => {
  it('are those of the standard', () => {
    const three = [0x6b, 0x6c, 0x6d].map(address => register(`r${address}`, address, { unitId: 0x11 }))
    expect(questionsOf(three)).toEqual(['1103006b00037687'])
    expect(questionsOf(Array.from({ length: 10 }, (_, i) => register(`r${i}`, i)))).toEqual(['01030000000ac5cd'])
  })

  it('bring neighbours together, over a gap that is small enough', () => {
    const registers = [register('b', 10), register('a', 0, { type: 'float32' }), register('c', 3)]
    expect(questionsOf(registers, 0)).toHaveLength(3)
    expect(questionsOf(registers, 1)).toEqual(
      [frame('01 03 0000 0004'), frame('01 03 000A 0001')].map(each => each.toString('hex')),
    )
    expect(questionsOf(registers, 6)).toEqual([frame('01 03 0000 000B').toString('hex')])
  })

  it('keep devices and functions apart', () => {
    const registers = [
      register('a', 0),
      register('b', 1, { unitId: 2 }),
      register('c', 2, { function: 'input' }),
      register('d', 3, { function: 'coil', type: 'bool' }),
      register('e', 4, { function: 'discrete', type: 'bool' }),
    ]
    expect(questionsOf(registers)).toEqual(
      ['01 03 0000 0001', '02 03 0001 0001', '01 04 0002 0001', '01 01 0003 0001', '01 02 0004 0001'].map(each =>
        frame(each).toString('hex'),
      ),
    )
  })

  it('ask for no more than an answer can hold', () => {
    expect(questionsOf([register('a', 0), register('b', 124)], 1000)).toHaveLength(1)
    expect(questionsOf([register('a', 0), register('b', 125)], 1000)).toHaveLength(2)
    const coil = (name: string, address: number) => register(name, address, { function: 'coil', type: 'bool' })
    expect(questionsOf([coil('a', 0), coil('b', 1999)], 1000)).toHaveLength(1)
    expect(questionsOf([coil('a', 0), coil('b', 2000)], 1000)).toHaveLength(2)
    expect(() => modbus([register('a', 65_535, { type: 'float32' })])).toThrow('a does not fit into one question')
    expect(() => modbus([register('a', 0, { type: 'string', length: 126 })])).toThrow('does not fit')
  })

  it('ask once for what overlaps', () => {
    expect(questionsOf([register('all', 0, { type: 'uint32' }), register('low', 1), register('word', 0)])).toEqual([
      frame('01 03 0000 0002').toString('hex'),
    ])
  })
})

describe('values', () => {
  it.each<[string, Partial<ModbusRegister>, unknown]>([
    ['FFFF', { type: 'uint16' }, 65_535],
    ['FFFE', { type: 'int16' }, -2],
    ['00E6', { type: 'int16', scale: 0.1, offset: -40 }, -17],
    ['E600', { type: 'uint16', byteOrder: 'little' }, 0xe6],
    ['12345678', { type: 'uint32' }, 0x12345678],
    ['56781234', { type: 'uint32', wordOrder: 'little' }, 0x12345678],
    ['34127856', { type: 'uint32', byteOrder: 'little' }, 0x12345678],
    ['78563412', { type: 'uint32', wordOrder: 'little', byteOrder: 'little' }, 0x12345678],
    ['FFFFFFFE', { type: 'int32' }, -2],
    ['43666666', { type: 'float32' }, 230.4],
    ['66664366', { type: 'float32', wordOrder: 'little' }, 230.4],
    ['7FC00000', { type: 'float32' }, undefined],
    ['3FF3AE147AE147AE', { type: 'float64' }, 1.23],
    ['000000011E1AB4C0', { type: 'uint64' }, 4_800_033_984],
    ['FFFFFFFFFFFFFFFF', { type: 'int64' }, -1],
    ['0000704885F926FF', { type: 'uint64' }, 123_456_787_654_399],
    ['0100', { type: 'bool' }, true],
    ['0000', { type: 'bool' }, false],
    ['8001', { type: 'bits' }, '1000000000000001'],
    ['4C6172646572 2020 0000', { type: 'string', length: 5 }, 'Larder'],
    ['614C 6472 7265', { type: 'string', length: 3, byteOrder: 'little' }, 'Larder'],
  ])('%s as %j is %s', (text, more, value) => {
    const data = hex(text)
    expect(valueIn(data, 7, register('r', 7, more))).toEqual(value)
    if (value !== undefined && !text.includes(' ') && text !== '0100') {
      expect(bytesOf(value as number, register('r', 7, more)).toString('hex')).toBe(text.toLowerCase())
    }
  })

  it.each<[Partial<ModbusRegister>, unknown, string]>([
    [{ type: 'uint16' }, -1, 'r takes a number from 0 to 65535'],
    [{ type: 'uint16', scale: -0.1 }, 1, 'r takes a number from -6553.5 to 0'],
    [{ type: 'int32' }, 2 ** 31, 'r takes a number from -2147483648 to 2147483647'],
    [{ type: 'uint16' }, 'much', 'r takes a number'],
    [{ type: 'uint16' }, '', 'r takes a number'],
    [{ type: 'bool' }, 'maybe', 'r takes true or false'],
    [{ type: 'bits' }, '101', 'r takes the text of 16 digits 0 and 1'],
    [{ type: 'string', length: 2 }, 'Larder', 'r takes text of up to 4 bytes'],
  ])('%j refuses %j', (more, value, fault) => {
    expect(() => bytesOf(value as string, register('r', 0, more))).toThrow(fault)
  })
})

describe('a round', () => {
  const REGISTERS = [register('a', 0), register('b', 1, { type: 'int16', scale: 0.1 }), register('far', 100)]

  it('becomes one reading', () => {
    const listener = modbus(REGISTERS)
    listener.codec.asked?.(0)
    listener.push(frame('01 03 04 0005 FFF6'))
    expect(listener.readings).toEqual([])
    expect(listener.answers).toBe(1)
    listener.codec.asked?.(1)
    listener.push(frame('01 03 02 0007'))
    expect(listener.values).toEqual([{ a: 5, b: -1, far: 7 }])
    expect(listener.answers).toBe(2)
    expect(listener.faults).toEqual([])
  })

  it('whose last question is not answered is a reading of the others at its end', () => {
    const { codec, push, values } = modbus(REGISTERS)
    codec.asked?.(0)
    push(frame('01 03 04 0005 FFF6'))
    codec.asked?.(1)
    codec.finished?.()
    expect(values).toEqual([{ a: 5, b: -1 }])
    push(frame('01 03 02 0007'))
    codec.asked?.(0)
    expect(values).toHaveLength(1)
  })

  it('tells what was refused', () => {
    const listener = modbus(REGISTERS)
    listener.codec.asked?.(0)
    listener.push(frame('01 83 02'))
    listener.codec.asked?.(1)
    listener.push(frame('01 83 63'))
    expect(listener.faults).toEqual([
      'unit 1 refused holding registers 0 to 1: illegal data address (2)',
      'unit 1 refused holding registers 100: an exception (99)',
    ])
    expect(listener.answers).toBe(2)
    expect(listener.readings).toEqual([])
  })

  it('finds its answer between echoes, noise and what others say', () => {
    const listener = modbus([register('a', 0), register('b', 1)])
    listener.codec.asked?.(0)
    listener.push(
      frame('01 03 0000 0002'), // the question, heard by its own adapter
      frame('02 03 04 0001 0002'), // another unit
      frame('01 04 04 0001 0002'), // another function
      frame('01 03 02 0001'), // another length
      hex('01 03 04 00'), // noise like a beginning
      frame('01 03 04 0005 0006'),
      frame('01 03 04 0009 0009'),
    )
    expect(listener.values).toEqual([{ a: 5, b: 6 }])
    expect(listener.answers).toBe(1)
  })

  it('drops an answer with a wrong CRC and waits on', () => {
    const listener = modbus([register('a', 0)])
    const good = frame('01 03 02 0005')
    listener.codec.asked?.(0)
    listener.push(Buffer.concat([good.subarray(0, -1), Buffer.of(0)]))
    expect([listener.answers, listener.faults]).toEqual([0, ['an answer with a wrong CRC was dropped']])
    listener.push(good)
    expect(listener.values).toEqual([{ a: 5 }])
  })

  it('hears nothing that was not asked for', () => {
    const { codec, push, values } = modbus([register('a', 0)])
    push(frame('01 03 02 0005'))
    codec.asked?.(0)
    push(hex('01 03 02 00'))
    codec.asked?.(0)
    push(frame('01 03 02 0006'))
    expect(values).toEqual([{ a: 6 }])
  })

  it('reads coils', () => {
    const coil = { function: 'coil' as const, type: 'bool' as const }
    const { codec, push, values } = modbus([
      register('first', 19, coil),
      register('last', 37, coil),
      register('some', 20, { ...coil, type: 'bits', length: 9 }),
    ])
    codec.asked?.(0)
    push(frame('01 01 03 CD 6B 05'))
    expect(values).toEqual([{ first: true, last: true, some: '011001111' }])
  })
})

describe('commands', () => {
  const REGISTERS = [
    register('setpoint', 1, { unitId: 0x11, scale: 0.1 }),
    register('energy', 2, { type: 'float32' }),
    register('pump', 172, { function: 'coil', type: 'bool', unitId: 0x11 }),
    register('lamps', 19, { function: 'coil', type: 'bits', length: 10, unitId: 0x11 }),
    register('temperature', 0, { function: 'input' }),
  ]

  it.each([
    ['setpoint=0.3', frame('11 06 0001 0003')],
    ['{"setpoint": 0.3}', frame('11 06 0001 0003')],
    [' energy = 230.4 ', frame('01 10 0002 0002 04 43666666')],
    ['pump=on', hex('11 05 00AC FF00 4E8B')],
    ['{"pump":false}', frame('11 05 00AC 0000')],
    ['lamps=1011001110', frame('11 0F 0013 000A 02 CD 01')],
  ])('%s', (command, bytes) => {
    expect(modbus(REGISTERS).codec.encode?.(command).toString('hex')).toBe(bytes.toString('hex'))
  })

  it.each([
    'temperature=5',
    'on',
    '{"setpoint":1,"pump":true}',
    '{"setpoint":null}',
    '{"setpoint":{}}',
    '5',
    'null',
    '{',
  ])('refuses %s', command => {
    expect(() => modbus(REGISTERS).codec.encode?.(command)).toThrow(
      /is not {"name": value} or name=value; can be written: setpoint, energy, pump, lamps$/,
    )
  })

  it('says what a value must be, and when nothing can be written', () => {
    expect(() => modbus(REGISTERS).codec.encode?.('setpoint=7000')).toThrow('setpoint takes a number from 0 to 6553.5')
    expect(() => modbus([register('t', 0, { function: 'input' })]).codec.encode?.('t=1')).toThrow(
      'nothing here can be written',
    )
  })

  it.each([
    ['setpoint=0.3', '11 06 0001 0003'],
    ['energy=1', '01 10 0002 0002'],
    ['pump=on', '11 05 00AC FF00'],
  ])('%s is answered', (command, answer) => {
    const listener = modbus(REGISTERS)
    listener.codec.encode?.(command)
    listener.push(frame('11 06 0001 0004'), frame(answer))
    expect([listener.answers, listener.faults]).toEqual([1, []])
    listener.push(frame(answer))
    expect(listener.answers).toBe(1)
  })

  it('is not answered by a late answer to a question', () => {
    const listener = modbus([register('a', 0)])
    listener.codec.asked?.(0)
    listener.codec.encode?.('a=5')
    listener.push(frame('01 03 02 0007'), frame('01 06 0000 0005'))
    listener.codec.finished?.()
    expect([listener.answers, listener.readings]).toEqual([1, []])
  })

  it('tells a refusal', () => {
    const listener = modbus(REGISTERS)
    listener.codec.encode?.('pump=on')
    listener.push(frame('11 85 04'))
    expect(listener.faults).toEqual(['unit 17 refused to write pump: server device failure (4)'])
    expect(listener.answers).toBe(1)
  })
})
