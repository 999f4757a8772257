/**
 * `examples/kitchen.yaml`, as it is but for the places of its hardware, with hardware that is simulated where the kernel
 * shows it: pseudo-terminals, files, pins in memory; and another gateway in the place of the cloud. Topic by topic.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MemoryGpioDriver } from '../../device/gpio/memory-driver.ts'
import { faultLine, loadConfig } from '../../src/config/load.ts'
import { cronFault } from '../../src/devices/cron.ts'
import { Gateway } from '../../src/main.ts'
import { ROOT } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { recordLog } from '../support/record-log.ts'
import { until } from '../support/wait.ts'
import { V5 } from '../unit/devices/telegrams.ts'

const FRIDGE = 'bus/w1/devices/28-0316a2794a2f/temperature'
/** The sensor's question, and its answer of 608 ppm (data sheet of the MH-Z19). */
const CO2_QUESTION = Buffer.from('ff0186000000000079', 'hex')
const CO2_ANSWER = Buffer.from('ff86026047000000d1', 'hex')

let folder: string
let kitchen: Gateway
let cloud: Gateway
const pins = new MemoryGpioDriver()
const ports = new Map<string, Pty>()
/** What came on each topic, in order. */
const heard = new Map<string, string[]>()
const inCloud = new Map<string, string[]>()

const note = (messages: Map<string, string[]>) => (topic: string, payload: Buffer) => {
  messages.set(topic, [...(messages.get(topic) ?? []), payload.toString()])
}

/** Waits until a message on `topic` is `payload`. */
async function says(topic: string, payload: string | RegExp, messages = heard): Promise<true> {
  const fits = (each: string) => (typeof payload === 'string' ? each === payload : payload.test(each))
  const what = () => `${payload} on ${topic}; there came ${JSON.stringify(messages.get(topic))}`
  return until(() => messages.get(topic)?.some(fits), { what })
}

function load(text: string, env: Record<string, string>) {
  const loaded = loadConfig({ text, env, cwd: folder, checks: { cron: cronFault } })
  if ('faults' in loaded) throw new Error(loaded.faults.map(faultLine).join('\n'))
  return loaded.config
}

async function show(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, 'sys', path)), { recursive: true })
  await writeFile(join(folder, 'sys', path), text)
}

describe.skipIf(!needs('socat'))('the example of a kitchen', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-kitchen-'))
    cloud = new Gateway(load(`{ data_dir: cloud, listeners: ['mqtt://127.0.0.1:0'], devices: [] }`, {}), {
      log: recordLog().log,
    })
    await cloud.start()
    cloud.subscribe('#', note(inCloud))

    let text = await readFile(join(ROOT, 'examples/kitchen.yaml'), 'utf8')
    for (const [, device = ''] of text.matchAll(/path: (\/dev\/[^\s,}]+)/g)) {
      const pty = await openPty()
      ports.set(device, pty)
      text = text.replace(device, pty.path)
    }
    text = text
      .replace('/var/lib/larder', join(folder, 'data'))
      .replace('mqtt://127.0.0.1:1883', 'mqtt://127.0.0.1:0')
      .replace('ws://127.0.0.1:8083', 'ws://127.0.0.1:0')
      .replace(/url: mqtt:\S+/, `url: ${cloud.addresses()[0]}`)
      // Nobody waits a minute for the air; everything else is as it is.
      .replace('{ every: 1m, of: average }', '{ every: 500ms, of: average }')
      .replace('codec: mhz19, every: 10s', 'codec: mhz19, every: 100ms')
      .replace('every: 30s', 'every: 100ms')
    await show(FRIDGE, '4312\n')
    pins.set(17, true)
    const deps = { log: recordLog().log, gpio: pins, machine: { sysfs: join(folder, 'sys'), dev: '/dev' } }
    kitchen = new Gateway(load(text, { CLOUD_PASSWORD: 'open sesame' }), deps)
    await kitchen.start()
    kitchen.subscribe('/Home/#', note(heard))
  })
  afterAll(async () => {
    await kitchen?.stop()
    await cloud?.stop()
    for (const pty of ports.values()) await pty.close()
    await rm(folder, { recursive: true, force: true })
  })

  const port = (part: string): Pty => [...ports].find(([device]) => device.includes(part))?.[1] as Pty

  test('the thermometer: a topic each, rounded, and only what has moved', async () => {
    const thermometer = port('FTDI_FT232R')
    for (const line of ['{"temperature":21.53,"humidity":40}', '{"temperature":21.58,"humidity":40}']) {
      thermometer.write(`${line}\n`)
    }
    thermometer.write('{"temperature":22.04,"humidity":41}\n')
    await says('/Home/Kitchen/Thermometer/temperature', '22')
    await says('/Home/Kitchen/Thermometer/humidity', '41')
    expect(heard.get('/Home/Kitchen/Thermometer/temperature')).toEqual(['21.5', '22'])
    await says('/Home/Kitchen/Thermometer/availability', 'online')
  })

  test('the air: asked, and averaged', async () => {
    const air = port('ttyAMA0')
    air.listen(bytes => {
      if (bytes.includes(CO2_QUESTION)) air.write(CO2_ANSWER)
    })
    await says('/Home/Kitchen/Air', '608')
    await says('/Home/Kitchen/Air/availability', 'online')
  })

  test('the meter: a few values of a telegram, with its time and a number', async () => {
    port('P1').write(V5)
    await says('/Home/Kitchen/Meter', /^\{"value":\{/)
    const [message = ''] = heard.get('/Home/Kitchen/Meter') ?? []
    const { value, seq } = JSON.parse(message)
    expect(Object.keys(value).sort()).toEqual(['day', 'night', 'power'])
    expect(seq).toBe(1)
  })

  test('the receiver: each sensor at its own topic, the neighbours nowhere', async () => {
    const receiver = port('RFLink')
    receiver.write('20;01;UPM/Esic;ID=0001;TEMP=80b4;\r\n')
    receiver.write('20;02;UPM/Esic;ID=0002;TEMP=00cf;HUM=16;\r\n')
    receiver.write('20;03;UPM/Esic;ID=0003;TEMP=0011;\r\n')
    await says('/Home/Kitchen/Freezer', '-18')
    await says('/Home/Outside/Garden/temperature', '20.7')
    await says('/Home/Outside/Garden/humidity', '16')
    await says('/Home/Outside/Garden/availability', 'online')
    expect(heard.get('/Home/Kitchen/Receiver')).toBeUndefined()
  })

  test('the door: open and closed', async () => {
    await says('/Home/Kitchen/Door', 'open')
    pins.set(17, false)
    await says('/Home/Kitchen/Door', 'closed')
  })

  test('the hood: commands, and what is refused', async () => {
    await says('/Home/Kitchen/Hood', 'off')
    await kitchen.publish('/Home/Kitchen/Hood/set', 'on')
    await says('/Home/Kitchen/Hood', 'on')
    expect(pins.level(27)).toBe(true)
    await kitchen.publish('/Home/Kitchen/Hood/set', 'full blast')
    await says('/Home/Kitchen/Hood/error', /full blast/)
    expect(pins.level(27)).toBe(true)
  })

  test('the gas: its pulses are counted', async () => {
    for (let pulse = 0; pulse < 5; pulse++) {
      pins.set(22, true, { at: performance.now() + pulse * 1_000 })
      pins.set(22, false, { at: performance.now() + pulse * 1_000 + 500 })
    }
    await until(() => heard.get('/Home/Kitchen/Gas')?.some(message => message.includes('0.05')), {
      what: () => `five pulses; there came ${JSON.stringify(heard.get('/Home/Kitchen/Gas'))}`,
      timeout: 30_000,
    })
  })

  test('the fridge: by its number on the bus, in degrees; away and back', async () => {
    await says('/Home/Kitchen/Fridge', '4.3')
    await rm(join(folder, 'sys', FRIDGE))
    await says('/Home/Kitchen/Fridge/availability', 'offline')
    await show(FRIDGE, '-1250\n')
    await says('/Home/Kitchen/Fridge', '-1.3')
  })

  test('the gateway itself', async () => {
    await says('/Home/Larder/Gateway/availability', 'online')
    await until(() => heard.has('/Home/Larder/Gateway/uptime_s') || heard.has('/Home/Larder/Gateway/load_1m'), {
      what: 'its readings',
    })
  })

  test('the cloud has the kitchen, and nothing else', async () => {
    await kitchen.publish('/Home/Kitchen/Note', 'bread', { qos: 1 })
    await says('house-17/kitchen/Note', 'bread', inCloud)
    await says('house-17/kitchen/Door', 'closed', inCloud)
    const others = [...inCloud.keys()].filter(topic => !topic.startsWith('house-17/kitchen/') && !topic.startsWith('$'))
    expect(others).toEqual([])
  })
})
