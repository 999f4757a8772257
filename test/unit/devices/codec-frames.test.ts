/** Sensors that speak in frames of bytes, by the vectors of their data sheets. */
import { describe, expect, it } from 'vitest'
import { NOISE, NOISE_LIMIT } from '../../../device/codecs/frames.ts'
import { decoder } from '../../support/decode.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('SDS011', () => {
  const FRAME = hex('AA C0 D4 04 3A 0A A1 60 1D AB')

  it('reads the vector', () => {
    const { push, values, faults, codec } = decoder({ codec: 'sds011' })
    push(FRAME)
    expect(values).toEqual([{ pm25: 123.6, pm10: 261.8 }])
    expect(faults).toEqual([])
    expect(Object.keys(codec.values ?? {})).toEqual(['pm25', 'pm10'])
    expect(codec.held).toBe(0)
  })

  it.each([
    ['a wrong sum', hex('AA C0 D4 04 3A 0A A1 60 1E AB')],
    ['a wrong end', hex('AA C0 D4 04 3A 0A A1 60 1D AC')],
  ])('drops a frame with %s, and no other', (_, damaged) => {
    const { push, values, faults } = decoder({ codec: 'sds011' })
    push(damaged, FRAME)
    expect(values).toHaveLength(1)
    expect(faults).toEqual(['a frame with a wrong sum was dropped'])
  })

  it('is not led astray by the beginning of a frame right before a frame', () => {
    for (const noise of ['AA', 'AA C0', 'AA AA C0', 'AA C0 D4 04 3A 0A A1 60 1D']) {
      const { push, values } = decoder({ codec: 'sds011' })
      push(hex(noise), FRAME)
      expect(values).toHaveLength(1)
    }
  })

  it('has no reading of an answer to a command', () => {
    const { push, values, faults } = decoder({ codec: 'sds011' })
    push(hex('AA C5 02 01 01 00 A1 60 05 AB'), FRAME)
    expect(values).toHaveLength(1)
    expect(faults).toEqual([])
  })

  it('says so when nothing but noise comes, now and then', () => {
    const { push, faults } = decoder({ codec: 'sds011' })
    push(Buffer.alloc(NOISE_LIMIT * 3, 0x55))
    expect(faults).toEqual([NOISE, NOISE, NOISE])
  })
})

describe('PMS5003', () => {
  const FRAME = hex('424d001c000000010005000000010005007e002a000f00090003000397000214')

  it('reads the vector', () => {
    const { push, values } = decoder({ codec: 'pms5003' })
    push(FRAME)
    expect(values).toEqual([
      {
        pm1_cf1: 0,
        pm25_cf1: 1,
        pm10_cf1: 5,
        pm1: 0,
        pm25: 1,
        pm10: 5,
        particles_0_3: 126,
        particles_0_5: 42,
        particles_1_0: 15,
        particles_2_5: 9,
        particles_5_0: 3,
        particles_10: 3,
      },
    ])
  })

  it.each([
    ['424D001C00000000000000000000000000240007000100010001000097000170', 0],
    ['424D001C001000250100001000250100000300050010002500500100889902C6', 0x25],
  ])('reads %s', (text, pm25) => {
    const { push, values } = decoder({ codec: 'pms5003' })
    push(hex(text))
    expect(values).toEqual([expect.objectContaining({ pm25 })])
  })

  it('drops a frame with a wrong sum, and finds one in the midst of it', () => {
    const { push, values, faults } = decoder({ codec: 'pms5003' })
    push(FRAME.subarray(0, 20), FRAME, FRAME)
    expect(values).toHaveLength(2)
    expect(faults).toEqual(['a frame with a wrong sum was dropped'])
  })
})

describe('MH-Z19', () => {
  const ANSWER = hex('FF 86 02 60 47 00 00 00 D1')

  it('asks as the data sheet says and reads the vector', () => {
    const listener = decoder({ codec: 'mhz19' })
    expect(listener.codec.questions).toEqual([hex('FF 01 86 00 00 00 00 00 79')])
    listener.codec.asked?.(0)
    listener.push(ANSWER)
    expect(listener.values).toEqual([608])
    expect(listener.answers).toBe(1)
    expect(listener.codec.values?.['']).toMatchObject({ unit: 'ppm', deviceClass: 'carbon_dioxide' })
  })

  it('takes nothing that was not asked for, and one answer to a question', () => {
    const { codec, push, values } = decoder({ codec: 'mhz19' })
    push(ANSWER)
    codec.asked?.(0)
    push(ANSWER, ANSWER)
    expect(values).toEqual([608])
  })

  it('forgets half an answer when it asks again', () => {
    const { codec, push, values, faults } = decoder({ codec: 'mhz19' })
    codec.asked?.(0)
    push(ANSWER.subarray(0, 5))
    codec.asked?.(0)
    expect(codec.held).toBe(0)
    push(ANSWER)
    expect(values).toEqual([608])
    expect(faults).toEqual([])
  })

  it.each([
    ['a wrong sum', 'FF 86 02 60 47 00 00 00 D2'],
    ['more than any sensor measures', 'FF 86 27 11 00 00 00 00 42'],
  ])('drops an answer with %s and waits on', (_, damaged) => {
    const listener = decoder({ codec: 'mhz19' })
    listener.codec.asked?.(0)
    listener.push(hex(damaged))
    expect(listener.answers).toBe(0)
    expect(listener.faults).toEqual(['an answer with a wrong sum was dropped'])
    listener.push(ANSWER)
    expect(listener.values).toEqual([608])
  })
})

describe('raw', () => {
  const raw = { codec: 'raw' as const, maxLength: 8, encoding: 'hex' as const }

  it('gives frames of a length', () => {
    const { push, values } = decoder({ ...raw, length: 3 })
    push(hex('01'), hex('0203040506 07'))
    expect(values).toEqual(['010203', '040506'])
  })

  it('looks for what a frame begins with', () => {
    const { push, values } = decoder({ ...raw, length: 4, start: 'aa55' })
    push(hex('55 AA AA 55 01 02 03 AA 55 03 04'))
    expect(values).toEqual(['aa550102', 'aa550304'])
  })

  it('gives what stands between delimiters, but the first, which may be a tail', () => {
    const { push, values } = decoder({ ...raw, delimiter: '0d0a', encoding: 'base64' })
    push('ab\r\nfoo\r', '\nx\rz\r\n\r\n')
    expect(values).toEqual(['foo', 'x\rz'].map(text => Buffer.from(text).toString('base64')))
  })

  it('gives the first, too, behind silence', () => {
    const { codec, push, values } = decoder({ ...raw, delimiter: '00' })
    codec.quiet?.()
    push(hex('0102 00'))
    expect(values).toEqual(['0102'])
  })

  it('drops a frame that is too long, once, and reads the next', () => {
    const { codec, push, values, faults } = decoder({ ...raw, delimiter: '0d0a' })
    push('\r\n')
    push('x'.repeat(20), 'x'.repeat(20), '\r', '\n12345678\r\n123456789\r\nok\r\n')
    expect(values).toEqual([Buffer.from('12345678'), Buffer.from('ok')].map(frame => frame.toString('hex')))
    expect(faults).toEqual(['a frame of more than 8 bytes was dropped', 'a frame of more than 8 bytes was dropped'])
    expect(codec.held).toBe(0)
  })
})
