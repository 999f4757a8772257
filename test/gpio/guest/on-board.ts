/** Recipes B and C: the gateway on the drivers of real chips, on an arm64 machine. Runs in the guest. */
import { TOOLS_FOLDER } from '../tools.ts'
import { sysfsChips } from './board.ts'
import { House } from './house.ts'
import { same, show } from './show.ts'

/** Told to the rig, which then presses the power button of the machine. */
const PRESS = 'gpio: press the power button'
const TOOLS = `${TOOLS_FOLDER}/gpiod-2`

/** `driver`: through which inputs are watched; `onoff` where its native part was built for this machine. */
export async function runOnBoard(kind: 'pl061' | 'bcm2835', driver: 'onoff' | 'gpiod'): Promise<void> {
  await show(`${process.arch}, Node ${process.version}`, async () =>
    sysfsChips()
      .map(({ label, base }) => `${label} at ${base}`)
      .join(', '),
  )
  const house = new House()
  await (kind === 'pl061' ? button(house, driver) : pins(house, driver))
  await house.end()
}

/** Line 3 of the PL061 is the power button. */
async function button(house: House, driver: string): Promise<void> {
  await show(`the power button of the machine is a message at a client, through ${driver}`, async () => {
    const chip = sysfsChips().find(({ label }) => label.includes('pl061'))?.label
    if (chip === undefined) throw new Error('there is no PL061')
    const options = `direction: count, debounce: 0, every: 200ms, driver: ${driver}`
    const devices = `  - { name: Presses, room: Hall, gpio: { chip: ${chip}, line: 3, ${options} } }\n`
    await house.start(devices, TOOLS)
    await house.hears('/Home/Hall/Presses', payload => JSON.parse(payload).total === 0)
    console.log(PRESS)
    return await house.hears('/Home/Hall/Presses', payload => JSON.parse(payload).total === 1)
  })
}

/** The pins of the Raspberry Pi itself. Nothing is wired to them: an output is what it was set to. */
async function pins(house: House, driver: string): Promise<void> {
  await show(`outputs, inputs through ${driver} and counters on the Raspberry Pi's own chip`, async () => {
    const base = sysfsChips().find(({ label }) => label === 'pinctrl-bcm2835')?.base
    const devices = `
  - { name: Lamp, room: Hall, gpio: { pin: 17, direction: out } }
  - { name: Door, room: Hall, gpio: { pin: 22, direction: in, debounce: 0 } }
  - { name: Meter, room: Hall, gpio: { pin: 5, direction: count } }
`
    await house.start(devices, TOOLS)
    for (const name of ['Lamp', 'Door', 'Meter']) await house.hears(`/Home/Hall/${name}/availability`, 'online')
    const log = house.gateway.errors.join('\n')
    for (const used of ['17 is used through onoff', `22 is used through ${driver}`, '5 is used through gpiod']) {
      if (!log.includes(`GPIO ${used}`)) throw new Error(`the log does not say "${used}":\n${log}`)
    }
    for (const level of ['on', 'off', 'on']) {
      await house.command('/Home/Hall/Lamp', level)
      await house.hears('/Home/Hall/Lamp', level)
    }
    await house.end()
    await house.restart()
    await house.hears('/Home/Hall/Lamp', 'on')
    same('what the log says of EINVAL', /EINVAL/.test(house.gateway.errors.join('\n')), false)
    return `line 17 is number ${(base ?? Number.NaN) + 17}`
  })
}
