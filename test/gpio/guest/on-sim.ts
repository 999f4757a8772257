/** Recipe A: the gateway on simulated chips, through both drivers and both versions of the tools. Runs in the guest. */
import { setTimeout as pause } from 'node:timers/promises'
import { until } from '../../support/wait.ts'
import { TOOLS_FOLDER, VERSIONS } from '../tools.ts'
import { exportFault, SimChip, sysfsChips } from './board.ts'
import { House, PATIENCE } from './house.ts'
import { median, same, show } from './show.ts'

/** Pulses of the counter, and switches of the input whose latency is measured. */
const PULSES = 1_000
const EDGES = 100
/** ms of the pulsed output: the guest is slow. */
const PULSE = 2_000
/** Reloads over which no descriptor may be lost. */
const RELOADS = 5

const AUTO = `
  - { name: Door, room: Hall, gpio: { pin: 17, direction: in, debounce: 0 } }
  - { name: Bell, room: Hall, gpio: { pin: 22, direction: in, debounce: 200ms, active_low: true } }
  - { name: Lamp, room: Hall, gpio: { pin: 27, direction: out } }
  - { name: Pump, room: Cellar, gpio: { pin: 23, direction: out, at_stop: off } }
  - { name: Gate, room: Garden, gpio: { pin: 24, direction: out, pulse: ${PULSE}ms } }
  - { name: Meter, room: Cellar, gpio: { pin: 5, direction: count, debounce: 0, per_pulse: 0.1, every: 500ms } }
  - { name: Shutter, room: Attic, gpio: { chip: expander, line: 3, direction: in, debounce: 0 } }
`

/** A count stays with its line. */
const METER_OF = { 'gpiod-1': 6, 'gpiod-2': 7 } as const

function throughTools(version: keyof typeof METER_OF): string {
  const gpiod = 'direction: in, debounce: 0, driver: gpiod'
  return `
  - { name: Door, room: ${version}, gpio: { pin: 17, ${gpiod} } }
  - { name: Window, room: ${version}, gpio: { pin: 12, ${gpiod}, pull: up, active_low: true } }
  - { name: Lamp, room: ${version}, gpio: { pin: 26, direction: out, initial: on, driver: gpiod } }
  - { name: Meter, room: ${version}, gpio: { pin: ${METER_OF[version]}, direction: count, debounce: 0, every: 500ms, driver: gpiod } }
  - { name: Wrong, room: ${version}, gpio: { pin: 13, direction: in, pull: up, driver: onoff } }
`
}

export async function runOnSim(): Promise<void> {
  const header = new SimChip({ name: 'header', label: 'pinctrl-bcm2711', lines: 54 })
  new SimChip({ name: 'expander', label: 'expander', lines: 8 })
  const expander = sysfsChips().find(({ label }) => label === 'expander')
  const house = new House()
  await show('a plain number is refused with EINVAL, which no device of the gateway meets', async () => {
    same('the answer', exportFault(17), 'EINVAL')
    await house.start(AUTO, `${TOOLS_FOLDER}/gpiod-1`)
    for (const topic of ['Hall/Door', 'Hall/Bell', 'Hall/Lamp', 'Garden/Gate', 'Cellar/Meter', 'Attic/Shutter']) {
      await house.hears(`/Home/${topic}/availability`, 'online')
    }
    const logged = house.gateway.errors.join('\n')
    if (/EINVAL|refuses GPIO/.test(logged)) throw new Error(logged)
    return sysfsChips()
      .map(({ label, base }) => `${label} at ${base}`)
      .join(', ')
  })
  await edges(house, header)
  await debounce(house, header)
  await show('a line of another chip, by its label', async () => {
    if (expander === undefined) throw new Error('the expander is not in sysfs')
    await house.hears('/Home/Attic/Shutter', 'off')
  })
  await outputs(house, header)
  const meter = { topic: '/Home/Cellar/Meter', line: 5, perPulse: 0.1 }
  await pulses(house, header, meter)
  await meterReading(house, header, meter)
  await kill(house, header)
  await descriptors(house)
  await unplug(house, header)
  await house.end()
  for (const { name } of VERSIONS) await tools(house, header, name)
}

async function edges(house: House, header: SimChip): Promise<void> {
  await show(`${EDGES} edges on line 17 are messages at a client`, async () => {
    const topic = '/Home/Hall/Door'
    await house.hears(topic, 'off')
    const before = house.payloads(topic).length
    const took: number[] = []
    for (let edge = 0; edge < EDGES; edge++) {
      const began = performance.now()
      header.pull(17, edge % 2 === 0)
      await until(() => house.payloads(topic).length > before + edge, {
        timeout: PATIENCE,
        every: 0,
        what: () => `message ${edge}\n${house.said(10)}`,
      })
      took.push(performance.now() - began)
    }
    same('the number of messages', house.payloads(topic).length - before, EDGES)
    same('the last', house.payloads(topic).at(-1), 'off')
    return `median ${median(took).toFixed(1)} ms from the edge to the subscriber on an emulated processor`
  })
}

async function debounce(house: House, header: SimChip): Promise<void> {
  await show('a contact that bounces is one message', async () => {
    const topic = '/Home/Hall/Bell'
    await house.hears(topic, 'on') // it is active low
    for (let bounce = 0; bounce < 21; bounce++) header.pull(22, bounce % 2 === 0)
    await house.hears(topic, 'off')
    for (let bounce = 0; bounce < 21; bounce++) header.pull(22, bounce % 2 === 1)
    await house.hears(topic, 'on')
    same('what was heard', house.payloads(topic).join(' '), 'on off on')
  })
}

async function outputs(house: House, header: SimChip): Promise<void> {
  await show('an output follows its commands and keeps its level while the gateway is away', async () => {
    await house.command('/Home/Hall/Lamp', 'on')
    await house.command('/Home/Cellar/Pump', 'on')
    await house.hears('/Home/Hall/Lamp', 'on')
    await house.hears('/Home/Cellar/Pump', 'on')
    same('the level of the lamp', header.level(27), true)
    await house.end()
    same('the level of the lamp after a stop', header.level(27), true)
    same('the level of the pump, which at_stop ends', header.level(23), false)
    await house.restart()
    await house.hears('/Home/Hall/Lamp/availability', 'online')
    await house.hears('/Home/Hall/Lamp', 'on')
    same('the level of the lamp after a start', header.level(27), true)
    await house.command('/Home/Hall/Lamp', 'sideways')
    return await house.hears('/Home/Hall/Lamp/error', payload => payload.includes('takes on, off, toggle'))
  })
  await show('a timed output goes off by itself', async () => {
    await house.command('/Home/Garden/Gate', 'on')
    await house.hears('/Home/Garden/Gate', 'on')
    same('its level', header.level(24), true)
    await house.hears('/Home/Garden/Gate', 'off')
    same('its level', header.level(24), false)
  })
}

interface Meter {
  topic: string
  line: number
  perPulse: number
}

/** True for a report of so many pulses. */
function reads({ perPulse }: Meter, pulses: number): (payload: string) => boolean {
  return payload => JSON.parse(payload).total === Number((pulses * perPulse).toPrecision(12))
}

async function pulses(house: House, header: SimChip, meter: Meter): Promise<void> {
  await show(`${PULSES} pulses are ${PULSES} counts`, async () => {
    await house.hears(meter.topic, reads(meter, 0))
    const began = performance.now()
    for (let pulse = 0; pulse < PULSES; pulse++) {
      header.pull(meter.line, true)
      header.pull(meter.line, false)
      // The kernel keeps 16 edges of a line (drivers/gpio/gpiolib-cdev.c) until they are read, and drops what comes then.
      await pause(2)
    }
    const took = (performance.now() - began) / 1000
    const heard = await house.hears(meter.topic, reads(meter, PULSES))
    return `${heard}, ${Math.round(PULSES / took)} a second`
  })
}

async function meterReading(house: House, header: SimChip, meter: Meter): Promise<void> {
  await show('a count survives a restart, and is set to the reading of the meter', async () => {
    await house.end()
    await house.restart()
    await house.hears(meter.topic, reads(meter, PULSES))
    await house.command(meter.topic, '12345.6')
    const set = Math.round(12345.6 / meter.perPulse)
    await house.hears(meter.topic, reads(meter, set))
    header.pull(meter.line, true)
    header.pull(meter.line, false)
    return await house.hears(meter.topic, reads(meter, set + 1))
  })
}

async function kill(house: House, header: SimChip): Promise<void> {
  await show('a gateway that is killed in the middle of a pulse leaves nothing on, and no process behind', async () => {
    await house.command('/Home/Garden/Gate', 'on')
    await house.hears('/Home/Garden/Gate', 'on')
    same('processes of gpiomon', House.running('gpiomon') > 0, true)
    await house.end('SIGKILL')
    same('the lamp', header.level(27), true)
    await until(() => House.running('gpiomon') === 0, { timeout: PATIENCE, what: 'gpiomon to end' })
    await house.restart()
    await house.hears('/Home/Garden/Gate', 'off')
    same('the gate', header.level(24), false)
    same('the lamp', header.level(27), true)
    await house.hears('/Home/Cellar/Meter/availability', 'online')
  })
}

async function descriptors(house: House): Promise<void> {
  await show(`${RELOADS} reloads that open every pin anew leave no descriptor open`, async () => {
    const reopen = async (debounce: number) => {
      const before = house.payloads('/Home/Hall/Lamp').length
      house.configure(AUTO.replaceAll('direction: out', `debounce: ${debounce}ms, direction: out`))
      house.reload()
      await until(() => house.payloads('/Home/Hall/Lamp').length > before, {
        timeout: PATIENCE,
        what: () => `the lamp to be opened anew\n${house.said(10)}`,
      })
      await house.client.ping()
      return house.descriptors().length
    }
    const first = await reopen(10)
    for (let reload = 0; reload < RELOADS; reload++) await reopen(20 + reload)
    const last = await until(
      () => {
        const now = house.descriptors().length
        return now <= first ? now : undefined
      },
      { timeout: PATIENCE, what: () => `${first} descriptors; there are ${house.descriptors().length}` },
    )
    return `${last} as before`
  })
}

async function unplug(house: House, header: SimChip): Promise<void> {
  await show('a chip that goes takes its devices offline and nothing else; when it is back they are', async () => {
    header.unplug()
    for (const topic of ['Hall/Door', 'Hall/Lamp', 'Cellar/Meter']) {
      await house.hears(`/Home/${topic}/availability`, 'offline')
    }
    same('a device on another chip', house.payloads('/Home/Attic/Shutter/availability').at(-1), 'online')
    same('the gateway', house.gateway.running, true)
    header.plug()
    for (const topic of ['Hall/Door', 'Hall/Lamp', 'Cellar/Meter']) {
      await house.hears(`/Home/${topic}/availability`, 'online')
    }
    header.pull(17, true)
    await house.hears('/Home/Hall/Door', 'on')
    header.pull(17, false)
  })
}

/** The driver of the tools alone. */
async function tools(house: House, header: SimChip, version: keyof typeof METER_OF): Promise<void> {
  const at = (name: string) => `/Home/${version}/${name}`
  await show(`${version}: inputs, a pull-up, an output, and what sysfs cannot do`, async () => {
    header.pull(17, false)
    await house.start(throughTools(version), `${TOOLS_FOLDER}/${version}`)
    await house.hears(at('Door'), 'off')
    header.pull(17, true)
    await house.hears(at('Door'), 'on')
    // gpio-sim takes the resistor that the driver asks for as the level: closed to ground is on.
    await house.hears(at('Window'), 'off')
    header.pull(12, false)
    await house.hears(at('Window'), 'on')
    await house.hears(at('Lamp'), 'on')
    same('the level of the lamp', header.level(26), true)
    await house.command(at('Lamp'), 'off')
    await house.hears(at('Lamp'), 'off')
    same('the level of the lamp', header.level(26), false)
    await house.hears(`${at('Wrong')}/availability`, 'offline')
    const said = house.gateway.errors.join('\n')
    if (!said.includes('gpio=13=pu')) throw new Error(`the log does not say what to do:\n${said}`)
    same('devices that are there', house.payloads(`${at('Door')}/availability`).at(-1), 'online')
  })
  await pulses(house, header, { topic: at('Meter'), line: METER_OF[version], perPulse: 1 })
  await house.end()
}
