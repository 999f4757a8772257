/** Under-voltage and heat: what makes a Pi lose messages, cards and tempers. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Check } from './examine.ts'
import type { Told } from './ports.ts'

/** Where the firmware of a Pi says so to the kernel. */
const THROTTLED = 'devices/platform/soc/soc:firmware/get_throttled'
/** Bits of that number: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled; since the start, 16 higher. */
const UNDER_VOLTAGE = 0x1
const CAPPED = 0x2
const THROTTLED_NOW = 0x4
const HOT = 0x8
const SINCE_START = 16

/** Degrees Celsius: from 80 on a Pi makes itself slower, and a warmer summer's day is not far from 70. */
const HOT_AT = 80
const WARM_AT = 70

const BETTER_SUPPLY = 'Use the official power supply and a short, thick cable; unplug USB devices that draw much.'
const COOLER = 'Give it air or a heat sink; take it out of the closed box.'

export const checkPower: Check = async (_subject, deps) => [
  ...power(await throttledState(deps)),
  ...heat(await temperatures(deps.roots.sys)),
]

async function throttledState({ roots, ask }: Parameters<Check>[1]): Promise<number | undefined> {
  const text = await readFile(join(roots.sys, THROTTLED), 'utf8').catch(() => undefined)
  const told = text ?? (await ask('vcgencmd', ['get_throttled']))?.replace(/^throttled=/, '')
  const state = Number.parseInt(told?.trim() ?? '', 16)
  return Number.isNaN(state) ? undefined : state
}

function power(state: number | undefined): Told[] {
  const subject = 'voltage'
  if (state === undefined) return [{ subject, grade: 'skip', cause: 'cannot tell here: this is no Raspberry Pi' }]
  if ((state & UNDER_VOLTAGE) !== 0)
    return [{ subject, grade: 'fail', cause: 'the voltage is too low now', mend: BETTER_SUPPLY }]
  const before = state >>> SINCE_START
  if ((before & UNDER_VOLTAGE) !== 0)
    return [{ subject, grade: 'warn', cause: 'the voltage was too low since the start', mend: BETTER_SUPPLY }]
  if ((state & (CAPPED | THROTTLED_NOW | HOT)) !== 0)
    return [{ subject, grade: 'warn', cause: 'the processor is slowed down now', mend: COOLER }]
  if ((before & (CAPPED | THROTTLED_NOW | HOT)) !== 0)
    return [{ subject, grade: 'warn', cause: 'the processor was slowed down since the start', mend: COOLER }]
  return [{ subject, grade: 'ok', cause: 'the voltage was high enough since the start' }]
}

async function temperatures(sys: string): Promise<number[]> {
  const folder = join(sys, 'class/thermal')
  const zones = (await readdir(folder).catch(() => [])).filter(name => name.startsWith('thermal_zone'))
  const texts = await Promise.all(zones.map(zone => readFile(join(folder, zone, 'temp'), 'utf8').catch(() => '')))
  return texts.map(text => Number(text.trim() || Number.NaN) / 1000).filter(Number.isFinite)
}

function heat(degrees: readonly number[]): Told[] {
  const subject = 'heat'
  if (degrees.length === 0) return [{ subject, grade: 'skip', cause: 'cannot tell here: no thermometer' }]
  const most = Math.max(...degrees)
  const cause = `the processor has ${most.toFixed(0)} °C`
  if (most >= HOT_AT) return [{ subject, grade: 'fail', cause, mend: COOLER }]
  return [most >= WARM_AT ? { subject, grade: 'warn', cause, mend: COOLER } : { subject, grade: 'ok', cause }]
}
