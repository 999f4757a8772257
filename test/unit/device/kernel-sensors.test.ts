/** Sensors of the kernel, on trees as the kernel lays them out under /sys. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FileSource } from '../../../device/sysfs/file-source.ts'
import { findKernelChannel, type KernelSensor, kernelChannels } from '../../../device/sysfs/kernel-sensors.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SourceRecorder } from '../../support/source-recorder.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'larder-sysfs-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function tree(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, dirname(path)), { recursive: true })
    await writeFile(join(root, path), `${text}\n`)
  }
}

const FRIDGE = 'bus/w1/devices/28-0316a2794a2f'
/** Of a Pi 4 with a thermometer, a BME280, an ADS1115 and its own sensors. */
const PI = {
  'bus/w1/devices/w1_bus_master1/w1_master_name': 'w1_bus_master1',
  [`${FRIDGE}/temperature`]: '4312',
  'bus/iio/devices/iio:device0/name': 'bme280',
  'bus/iio/devices/iio:device0/in_temp_input': '21480',
  'bus/iio/devices/iio:device0/in_humidityrelative_input': '40125',
  'bus/iio/devices/iio:device0/in_pressure_input': '98.123',
  'bus/iio/devices/iio:device1/name': 'ads1015',
  'bus/iio/devices/iio:device1/in_voltage0_raw': '1000',
  'bus/iio/devices/iio:device1/in_voltage0_scale': '3.000000',
  'bus/iio/devices/iio:device1/in_voltage1_raw': '10',
  'bus/iio/devices/iio:device1/in_voltage_scale': '2',
  'bus/iio/devices/iio:device1/in_voltage1_offset': '-2',
  'class/hwmon/hwmon0/name': 'cpu_thermal',
  'class/hwmon/hwmon0/temp1_input': '51121',
  'class/hwmon/hwmon1/name': 'rpi_volt',
  'class/hwmon/hwmon1/in0_lcrit_alarm': '0',
  'class/thermal/thermal_zone0/type': 'cpu-thermal',
  'class/thermal/thermal_zone0/temp': '51121',
}

/** What a source says of a sensor, at its first reading. */
async function firstValue(sensor: KernelSensor): Promise<unknown> {
  const recorder = new SourceRecorder()
  const source = new FileSource({ settings: { sensor, every: 1000 }, clock: new ManualClock(), root })
  await source.start(recorder, new AbortController().signal)
  await source.poll()
  await source.stop()
  return recorder.values[0]
}

describe('what is there', () => {
  test('is found by what it is', async () => {
    await tree(PI)
    const found = await kernelChannels(root)
    expect(found.map(({ bus, chip, channel }) => [bus, chip, channel].filter(Boolean).join(' '))).toEqual([
      'one_wire 28-0316a2794a2f',
      'iio bme280 humidityrelative',
      'iio bme280 pressure',
      'iio bme280 temp',
      'iio ads1015 voltage0',
      'iio ads1015 voltage1',
      'hwmon cpu_thermal temp1',
      'thermal cpu-thermal',
    ])
  })

  test('nothing, on a machine without any', async () => {
    expect(await kernelChannels(root)).toEqual([])
  })

  test.each<[KernelSensor, number, string]>([
    [{ bus: 'one_wire', chip: '28-0316a2794a2f' }, 4.312, '°C'],
    [{ bus: 'one_wire', chip: 'any' }, 4.312, '°C'],
    [{ bus: 'iio', chip: 'bme280', channel: 'temp' }, 21.48, '°C'],
    [{ bus: 'iio', chip: 'bme280', channel: 'humidityrelative' }, 40.125, '%'],
    [{ bus: 'iio', chip: 'bme280', channel: 'pressure' }, 981.23, 'hPa'],
    [{ bus: 'iio', chip: 'ads1015', channel: 'voltage0' }, 3, 'V'],
    [{ bus: 'iio', chip: 'ads1015', channel: 'voltage1' }, 0.016, 'V'],
    [{ bus: 'hwmon', chip: 'cpu_thermal', channel: 'temp1' }, 51.121, '°C'],
    [{ bus: 'thermal', chip: 'cpu-thermal' }, 51.121, '°C'],
  ])('%o is %d %s', async (sensor, value, unit) => {
    await tree(PI)
    expect(await firstValue(sensor)).toBe(value)
    expect((await findKernelChannel(sensor, root)).description.unit).toBe(unit)
  })

  test.each<[KernelSensor, RegExp]>([
    [{ bus: 'one_wire', chip: '28-000000000000' }, /no one_wire: 28-0{12}.*There is one_wire: 28-0316a2794a2f/],
    [{ bus: 'iio', chip: 'bme280' }, /several.*channel: humidityrelative.*channel: temp/],
    [{ bus: 'iio', chip: 'bme680', channel: 'temp' }, /no iio: bme680.*iio: bme280, channel: temp/],
  ])('%o is told with what is there instead', async (sensor, sentence) => {
    await tree(PI)
    const error = await findKernelChannel(sensor, root).catch(refused => refused)
    expect(error.toLine()).toMatch(sentence)
  })

  test('an overlay that is missing is named', async () => {
    const error = await findKernelChannel({ bus: 'iio', chip: 'any' }, root).catch(refused => refused)
    expect(error.toLine()).toContain('overlay in config.txt')
  })
})

describe('over time', () => {
  async function start(sensor: KernelSensor) {
    const clock = new ManualClock()
    const recorder = new SourceRecorder()
    const source = new FileSource({ settings: { sensor, every: 1000 }, clock, root })
    await source.start(recorder, new AbortController().signal)
    return { source, recorder }
  }

  test('a sensor whose number changes at a boot of its bus is found again', async () => {
    await tree(PI)
    const { source, recorder } = await start({ bus: 'hwmon', chip: 'cpu_thermal', channel: 'temp1' })
    await source.poll()
    await rm(join(root, 'class/hwmon/hwmon0'), { recursive: true })
    await source.poll()
    await tree({ 'class/hwmon/hwmon7/name': 'cpu_thermal', 'class/hwmon/hwmon7/temp1_input': '40000' })
    await source.poll()
    const states = recorder.heard.flatMap(event => ('up' in event ? [event.up] : []))
    expect(states).toEqual([true, false, true])
    expect(recorder.values.at(-1)).toBe(40)
    await source.stop()
  })

  test('a power-on value is no reading, a fridge on fire is', async () => {
    await tree({ [`${FRIDGE}/temperature`]: '85000' })
    const { source, recorder } = await start({ bus: 'one_wire', chip: 'any' })
    await source.poll()
    expect(recorder.values).toEqual([])
    expect(recorder.faults.join()).toContain('lost its power')
    for (const value of ['21000', '85000', '79000', '85000', '88000']) {
      await tree({ [`${FRIDGE}/temperature`]: value })
      await source.poll()
    }
    expect(recorder.values).toEqual([21, 79, 85, 88])
    await source.stop()
  })
})
