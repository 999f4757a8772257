/** What `larder devices list` finds: each line of configuration that it gives must be one that `larder check` takes. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { discover } from '../../../device/discovery.ts'
import { devicesListCommand } from '../../../src/cli/devices.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { Terminal } from '../cli/terminal.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'larder-machine-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const run = async () => {
  const command = devicesListCommand({ discover: () => discover({ sysfs: root, dev: root }) })
  const terminal = new Terminal({ commands: { 'devices list': command }, cwd: root })
  expect(await terminal.run('devices', 'list')).toBe(0)
  return terminal.out
}

test('a machine with nothing is told what may be missing', async () => {
  const lines = await run()
  expect(lines.filter(line => line.startsWith('  none'))).toHaveLength(3)
})

test('what is there can be copied into the configuration', async () => {
  for (const [path, text] of Object.entries({
    'bus/w1/devices/28-0316a2794a2f/temperature': '4312',
    'bus/iio/devices/iio:device0/name': 'bme280',
    'bus/iio/devices/iio:device0/in_humidityrelative_input': '40125',
    'class/thermal/thermal_zone0/type': 'cpu-thermal',
    'class/gpio/gpiochip512/label': 'pinctrl-bcm2711',
    'class/gpio/gpiochip512/base': '512',
    'class/gpio/gpiochip512/ngpio': '58',
    'class/gpio/gpiochip570/label': 'raspberrypi-exp-gpio',
    'class/gpio/gpiochip570/base': '570',
    'class/gpio/gpiochip570/ngpio': '8',
    'class/gpio/gpiochip600/label': 'mcp23017',
    'class/gpio/gpiochip600/base': '600',
    'class/gpio/gpiochip600/ngpio': '16',
  })) {
    await mkdir(join(root, dirname(path)), { recursive: true })
    await writeFile(join(root, path), `${text}\n`)
  }
  const lines = await run()
  expect(lines).toContain('  temperature 4.312 °C')
  expect(lines).toContain('  temperature no answer')
  const configs = lines.filter(line => /^ {4}\S/.test(line)).map(line => line.trim())
  expect(configs).toEqual([
    'file: { one_wire: 28-0316a2794a2f }',
    'file: { iio: bme280, channel: humidityrelative }',
    'file: { thermal: cpu-thermal }',
    'gpio: { pin: 17, direction: in }',
    'gpio: { chip: mcp23017, line: 0, direction: in }',
  ])
  const text = `devices:\n${configs.map((config, i) => `  - { name: Thing${i}, room: Kitchen, ${config} }\n`).join('')}`
  const loaded = loadConfig({ text, env: {}, cwd: root, checks: { cron: () => undefined } })
  expect('faults' in loaded ? loaded.faults : []).toEqual([])
})
