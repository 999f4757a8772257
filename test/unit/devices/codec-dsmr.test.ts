/** The P1 port of smart meters, by published telegrams. */
import { describe, expect, it } from 'vitest'
import { MAX_TELEGRAM } from '../../../device/codecs/dsmr.ts'
import { NOISE } from '../../../device/codecs/frames.ts'
import { crc16 } from '../../../device/codecs/sums.ts'
import { decoder } from '../../support/decode.ts'
import { BELGIAN, EASYMETER, SAGEMCOM, V2_2, V4_2, V5 } from './telegrams.ts'

function read(text: string) {
  const listener = decoder({ codec: 'dsmr' })
  listener.push(Buffer.from(text, 'latin1'))
  expect(listener.faults).toEqual([])
  expect(listener.readings).toHaveLength(1)
  expect(listener.codec.held).toBe(0)
  return { value: listener.values[0] as Record<string, unknown>, at: listener.readings[0]?.at }
}

/** A telegram of these lines, with its CRC. */
function signed(...lines: string[]): string {
  const text = `${['/XXX5 test', '', ...lines].join('\r\n')}\r\n!`
  return `${text}${crc16(Buffer.from(text), 0).toString(16).padStart(4, '0').toUpperCase()}\r\n`
}

describe('telegrams', () => {
  it('version 5: three phases, gas, and a second gas meter that says nothing', () => {
    const { value, at } = read(V5)
    expect(at).toBe(Date.UTC(2017, 0, 2, 18, 20, 2))
    expect(value).toEqual({
      delivered_t1_kwh: 4.426,
      delivered_t2_kwh: 2.399,
      returned_t1_kwh: 2.444,
      returned_t2_kwh: 0,
      tariff: 2,
      power_w: 244,
      power_returned_w: 0,
      power_failures: 13,
      long_power_failures: 0,
      voltage_sags_l1: 0,
      voltage_sags_l2: 0,
      voltage_sags_l3: 0,
      voltage_swells_l1: 0,
      voltage_swells_l2: 0,
      voltage_swells_l3: 0,
      voltage_l1_v: 230,
      voltage_l2_v: 230,
      voltage_l3_v: 229,
      current_l1_a: 0.48,
      current_l2_a: 0.44,
      current_l3_a: 0.86,
      power_l1_w: 70,
      power_l2_w: 32,
      power_l3_w: 142,
      power_returned_l1_w: 0,
      power_returned_l2_w: 0,
      power_returned_l3_w: 0,
      gas_m3: 0.107,
      gas_at: '2017-01-02T15:10:05.000Z',
    })
  })

  it('version 4', () => {
    const { value, at } = read(V4_2)
    expect(at).toBe(Date.UTC(2016, 10, 13, 19, 57, 57))
    expect(value).toMatchObject({ delivered_t1_kwh: 1581.123, power_w: 2027, current_l2_a: 6, gas_m3: 981.443 })
  })

  it('version 2: no CRC, and gas on a line of its own without a time zone', () => {
    const { value, at } = read(V2_2)
    expect(at).toBeUndefined()
    expect(value).toMatchObject({ delivered_t1_kwh: 1.001, power_w: 1010, limit_w: 999_000, gas_m3: 1.001 })
    expect(value).not.toHaveProperty('gas_at')
  })

  it('Belgium: peaks, gas and water', () => {
    const { value, at } = read(BELGIAN)
    expect(at).toBe(Date.UTC(2020, 4, 12, 11, 54, 9))
    expect(value).toMatchObject({
      demand_w: 2351,
      demand_peak_w: 2589,
      fuse_a: 999,
      gas_m3: 112.384,
      gas_at: '2020-05-12T11:45:58.000Z',
      water_m3: 872.234,
      water_at: '2020-05-12T11:45:58.000Z',
    })
  })

  it('Sagemcom: Wh and var', () => {
    expect(read(SAGEMCOM).value).toMatchObject({
      delivered_kwh: 6545.766,
      delivered_t1_kwh: 5017.12,
      power_w: 286,
      reactive_delivered_kvarh: 0.747,
      reactive_power_returned_var: 166,
    })
  })

  it('EasyMeter: codes with their sixth group', () => {
    expect(read(EASYMETER).value).toEqual({
      delivered_kwh: 52185.7825309,
      returned_kwh: 19949.3221493,
      power_l1_w: 747.85,
      power_l2_w: 737.28,
      power_l3_w: 639.73,
      power_w: 2124.86,
    })
  })

  it('has a description for whatever has a name', () => {
    const { values } = decoder({ codec: 'dsmr' }).codec
    for (const telegram of [V2_2, V4_2, V5, BELGIAN, SAGEMCOM, EASYMETER]) {
      for (const name of Object.keys(read(telegram).value)) expect(Object.keys(values ?? {})).toContain(name)
    }
    expect(values?.delivered_t1_kwh).toEqual({ unit: 'kWh', deviceClass: 'energy', stateClass: 'total_increasing' })
    expect(values?.gas_m3).toMatchObject({ unit: 'm³', deviceClass: 'gas' })
  })

  it('keeps what has no name under its code when it is a number with a unit', () => {
    expect(read(signed('1-0:15.8.0(000012.5*kWh)', '1-0:99.9.9(text)', '1-0:98.7.6(5)', 'Fnord')).value).toEqual({
      '1-0:15.8.0': 12.5,
    })
  })

  it('tells two meters of one kind, and one that is not known', () => {
    const { value } = read(
      signed(
        '0-1:24.1.0(003)',
        '0-1:24.2.1(170102161005W)(00001.000*m3)',
        '0-2:24.1.0(003)',
        '0-2:24.2.1(170102161005S)(00002.000*m3)',
        '0-3:24.1.0(099)',
        '0-3:24.2.1(170102161005S)(00003.000*m3)',
        '0-4:24.1.0(004)',
        '0-4:24.2.1(170102161005S)(00004.000*GJ)',
      ),
    )
    expect(value).toMatchObject({
      gas_m3: 1,
      gas_2_m3: 2,
      gas_2_at: '2017-01-02T14:10:05.000Z',
      mbus_3_m3: 3,
      heat_gj: 4,
    })
  })
})

describe('what is wrong with a telegram', () => {
  const faultsOf = (...texts: string[]) => {
    const { push, faults, values } = decoder({ codec: 'dsmr' })
    push(...texts.map(text => Buffer.from(text, 'latin1')))
    return { faults, count: values.length }
  }

  it.each([
    ['a wrong CRC', V5.replace('!6EEE', '!6EEF'), 'a telegram with a wrong CRC was dropped'],
    ['a changed digit', V5.replace('4.426', '4.427'), 'a telegram with a wrong CRC was dropped'],
    ['half a CRC', V5.replace('!6EEE', '!6EE'), 'a telegram with half a CRC was dropped'],
    ['no CRC, where its version has one', V5.replace('!6EEE', '!'), 'a telegram without its CRC was dropped'],
    ['no CRC, in Belgium', BELGIAN.replace('!911C', '!'), 'a telegram without its CRC was dropped'],
    ['no end', V5.replace('!6EEE', ''), 'a telegram without an end was dropped'],
    [
      'more bytes than any',
      `/${'x'.repeat(MAX_TELEGRAM)}`,
      `a telegram of more than ${MAX_TELEGRAM} bytes was dropped`,
    ],
    ['nothing in it', signed('0-0:96.13.0()'), 'a telegram without values was dropped'],
    [
      'no CRC and a line that no meter writes',
      V2_2.replace('1-0:1.8.1(', '1-0:1.8.1'),
      'a telegram was dropped, as no meter writes "1-0:1.8.100001.001*kWh)"',
    ],
    [
      'no CRC and an end in the midst of a line',
      V2_2.replace('001*kWh', '001!\r'),
      'a telegram was dropped, as its end is not on a line of its own: "1-0:1.8.1(00001.001!"',
    ],
  ])('%s costs that one', (_, damaged, fault) => {
    expect(faultsOf(damaged, SAGEMCOM)).toEqual({ faults: [fault], count: 1 })
  })

  it('no CRC is refused from a meter that had one', () => {
    const withoutVersion = signed('1-0:1.7.0(00.244*kW)')
    expect(faultsOf(withoutVersion, V2_2)).toEqual({ faults: ['a telegram without its CRC was dropped'], count: 1 })
    expect(faultsOf(V2_2, withoutVersion)).toEqual({ faults: [], count: 2 })
  })

  it('nothing is, when it begins in the midst of one', () => {
    expect(faultsOf(V5.slice(300), V5)).toEqual({ faults: [], count: 1 })
  })

  it('is said when nothing but noise comes', () => {
    expect(faultsOf('?'.repeat(3000))).toEqual({ faults: [NOISE, NOISE], count: 0 })
  })
})
