/** What radios and receivers say in lines: RFLink, rtl_433, NMEA 0183. */
import { describe, expect, it } from 'vitest'
import { decoder, lineReader } from '../../support/decode.ts'

const maxLine = 4096

describe('RFLink', () => {
  const read = lineReader({ codec: 'rflink', maxLine })

  it.each([
    // The vectors of the Protocol Reference.
    [
      '20;2D;UPM/Esic;ID=0001;TEMP=00cf;HUM=16;BAT=OK;',
      { protocol: 'UPM/Esic', id: '0001', temperature: 20.7, humidity: 16, battery_low: false },
    ],
    ['20;2E;UPM/Esic;ID=0001;TEMP=800d;', { protocol: 'UPM/Esic', id: '0001', temperature: -1.3 }],
    [
      '20;6A;UPM/Esic;ID=1002;WINSP=0041;WINDIR=0001;BAT=LOW;',
      { protocol: 'UPM/Esic', id: '1002', wind_speed: 6.5, wind_direction: 22.5, battery_low: true },
    ],
    [
      '20;47;Cresta;ID=8001;WINDIR=0002;WINSP=0060;WINGS=0088;WINCHL=b0;',
      { protocol: 'Cresta', id: '8001', wind_direction: 45, wind_speed: 9.6, wind_gust: 13.6, wind_chill: 17.6 },
    ],
    [
      '20;e5;Oregon BTHR;ID=5a6d;TEMP=00be;HUM=40;BARO=03d7;BAT=OK;',
      { protocol: 'Oregon BTHR', id: '5a6d', temperature: 19, humidity: 40, pressure: 983, battery_low: false },
    ],
    [
      '20;46;Oregon Rain;ID=2a1d;RAIN=008d;RAINTOT=0012;',
      { protocol: 'Oregon Rain', id: '2a1d', rain: 14.1, rain_day: 1.8 },
    ],
    [
      '20;B9;X;ID=928F5;HSTATUS=2;BFORECAST=4;',
      { protocol: 'X', id: '928F5', humidity_status: 'dry', forecast: 'rain' },
    ],
    ['20;12;Pir;ID=aa66;PIR=ON;', { protocol: 'Pir', id: 'aa66', motion: true }],
    ['20;0D;Kaku;ID=41;SWITCH=2;CMD=ON;', { protocol: 'Kaku', id: '41', switch: '2', command: 'ON' }],
    [
      '20;04;NewKaku;ID=000007;SWITCH=2;CMD=SET_LEVEL=14; ',
      { protocol: 'NewKaku', id: '000007', switch: '2', command: 'SET_LEVEL', level: 14 },
    ],
    [
      '20;05;Owl;ID=04;KWATT=0002;WATT=01f4;CURRENT=1.5;',
      { protocol: 'Owl', id: '04', power_kw: 2, power: 500, current: 1.5 },
    ],
    ['20;05;New;ID=04;SOIL=77;MODE=eco;', { protocol: 'New', id: '04', soil: 77, mode: 'eco' }],
  ])('%s', (line, value) => expect({ ...(read(line).value as object) }).toEqual(value))

  it.each([
    '20;00;Nodo RadioFrequencyLink - RFLink Gateway V1.1 - R46;',
    '20;99;PONG;',
    '20;99;RFDEBUG=ON;',
    '20;D3;OK;',
    '20;B5;STATUS;setRF433=ON;NodoNRF=OFF;',
    '10;NewKaku;0cac142;3;ON;',
    '11;20;0B;NewKaku;ID=000005;SWITCH=2;CMD=ON;',
  ])('has no reading and no fault of %s', line => {
    const { codec, push, readings, faults } = decoder({ codec: 'rflink', maxLine })
    codec.quiet?.()
    push(`${line}\r\n`)
    expect([readings, faults]).toEqual([[], []])
  })

  it.each([
    ['0;2D;UPM/Esic;ID=0001;TEMP=00cf;', 'not a packet of RFLink'],
    ['20;2D;UPM/Esic;D=0001;TEMP=00cf;', 'without an ID'],
    ['20;2D;UPM/Esic;ID=0001;TEMP=00cf', 'without its end'],
    ['20;2D;UPM/Esic;ID=0001;TEMP=00xf;', 'TEMP cannot be "00xf"'],
    ['20;2D;UPM/Esic;ID=0001;HUM=116;', 'HUM cannot be "116"'],
    ['20;2D;UPM/Esic;ID=0001;WINDIR=0017;', 'WINDIR cannot be "0017"'],
    ['20;2D;UPM/Esic;ID=0001;BAT=?;', 'BAT cannot be "?"'],
    ['20;2D;UPM/Esic;ID=0001;TEMP00cf;', 'no field at "TEMP00cf"'],
  ])('refuses %s', (line, fault) => expect(() => read(line)).toThrow(fault))

  it('reads both packets of a line whose end was lost', () => {
    const { codec, push, values } = decoder({ codec: 'rflink', maxLine })
    codec.quiet?.()
    push('20;01;A;ID=1;TEMP=0001;\r20;02;B;ID=2;TEMP=0002;20;03;C;ID=3;TEMP=0003;\n')
    expect(values).toHaveLength(3)
  })
})

describe('rtl_433', () => {
  const read = lineReader({ codec: 'rtl_433', maxLine })
  const AT = Date.UTC(2026, 0, 2, 3, 4, 5)

  it.each([
    [`"${AT / 1000}"`, AT],
    [`"${AT / 1000}.250000"`, AT + 250],
    [`${AT / 1000}`, AT],
    ['"2026-01-02T03:04:05Z"', AT],
    ['"2026-01-02 04:04:05+0100"', AT],
    ['"2026-01-02T04:04:05.5+01:00"', AT + 500],
  ])('takes the time %s', (time, at) => {
    const reading = read(`{"time":${time},"model":"Acurite-606TX","id":7,"temperature_C":21.5}`)
    expect(reading.at).toBe(at)
    expect({ ...(reading.value as object) }).toEqual({ model: 'Acurite-606TX', id: 7, temperature_C: 21.5 })
  })

  it.each(['"2026-01-02 03:04:05"', '"@0.5s"', '"2026-99-02T03:04:05Z"'])(
    'keeps as text a time that tells no moment: %s',
    time => {
      const reading = read(`{"time":${time},"model":"X","channel":"A","battery_ok":1}`)
      expect(reading.at).toBeUndefined()
      expect({ ...(reading.value as object) }).toEqual({
        time: JSON.parse(time),
        model: 'X',
        channel: 'A',
        battery_ok: 1,
      })
    },
  )

  it.each(['{"id":7}', '5', '[1]', 'null', '{"model":'])('refuses %s', line =>
    expect(() => read(line)).toThrow(/model|not JSON/),
  )
})

describe('NMEA 0183', () => {
  const read = lineReader({ codec: 'nmea', maxLine })
  const sentence = (body: string) => {
    const sum = [...body].reduce((all, letter) => all ^ letter.charCodeAt(0), 0)
    return `$${body}*${sum.toString(16).padStart(2, '0').toUpperCase()}`
  }

  it('reads the vector', () => {
    expect({ ...(read('$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47').value as object) }).toEqual({
      fix: true,
      quality: 1,
      satellites: 8,
      latitude: 48.1173,
      longitude: 11.5166667,
      hdop: 0.9,
      altitude: 545.4,
    })
  })

  it('tells the time of RMC', () => {
    const reading = read('$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A')
    expect(reading.at).toBe(Date.UTC(1994, 2, 23, 12, 35, 19))
    expect({ ...(reading.value as object) }).toEqual({
      fix: true,
      latitude: 48.1173,
      longitude: 11.5166667,
      speed: 41.4848,
      course: 84.4,
    })
    expect(read(sentence('GNRMC,235959.25,A,0000.000,S,00000.000,W,,,311225,,')).at).toBe(
      Date.UTC(2025, 11, 31, 23, 59, 59, 250),
    )
  })

  it.each([
    [sentence('GNGLL,3342.600,S,07030.000,W,123519,A,A'), { fix: true, latitude: -33.71, longitude: -70.5 }],
    [sentence('GPVTG,054.7,T,034.4,M,005.5,N,010.2,K'), { course: 54.7, speed: 10.2 }],
    [sentence('GPVTG,,T,,M,1,N,,K'), { speed: 1.852 }],
    [
      sentence('GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1'),
      { fix: true, mode: '3D', pdop: 2.5, hdop: 1.3, vdop: 2.1 },
    ],
    [sentence('GPGGA,123519,4807.038,N,01131.000,E,0,02,,,M,,M,,'), { fix: false, satellites: 2 }],
    [sentence('GPRMC,123519,V,4807.038,N,01131.000,E,,,230394,,'), { fix: false }],
    [sentence('GPGSA,A,1,,,,,,,,,,,,,,,'), { fix: false }],
  ])('%s', (line, value) => expect({ ...(read(line).value as object) }).toEqual(value))

  it.each([
    ['$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*48', 'the sum is wrong'],
    ['$GPGGA,123519', 'not a sentence of NMEA 0183 with its sum'],
    ['hello', 'not a sentence'],
  ])('refuses %s', (line, fault) => expect(() => read(line)).toThrow(fault))

  it('leaves out what it does not know, and what is not wanted', () => {
    const { codec, push, values, faults } = decoder({ codec: 'nmea', maxLine, sentences: ['RMC'] })
    codec.quiet?.()
    const lines = [
      sentence('GPGSV,1,1,00'),
      sentence('PUBX,00'),
      sentence('PMGNRMC,1'),
      sentence('GPtoString,1'),
      '!AIVDM,1,1,,A,x,0*00',
      sentence('GPVTG,054.7,T,034.4,M,005.5,N,010.2,K'),
      sentence('GPRMC,123519,V,,,,,,,230394,,'),
    ]
    push(`${lines.join('\r\n')}\r\n`)
    expect([values, faults]).toEqual([[{ fix: false }], []])
  })

  it('finds a sentence behind noise in its line', () => {
    const { codec, push, values } = decoder({ codec: 'nmea', maxLine })
    codec.quiet?.()
    push(`\u0007$GP$${sentence('GPVTG,1,T,,M,,N,2,K')}${sentence('GPVTG,3,T,,M,,N,4,K')}\n`)
    expect(values).toEqual([
      { course: 1, speed: 2 },
      { course: 3, speed: 4 },
    ])
  })
})
