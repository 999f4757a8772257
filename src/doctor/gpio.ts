/** Pins: is there a chip, may it be used, is no pin named twice, and is nobody else on one? */
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceConfig } from '../config/schema.ts'
import { LarderError } from '../kernel/errors.ts'
import type { Check } from './examine.ts'
import type { Chip, DoctorDependencies, Running, Told } from './ports.ts'

type GpioDevice = Extract<DeviceConfig, { kind: 'gpio' }>

export const checkGpio: Check = async ({ config, running }, deps) => {
  if (config === undefined) return [{ grade: 'skip', cause: 'devices stand in the configuration' }]
  const devices = config.devices
    .filter((device): device is GpioDevice => device.kind === 'gpio')
    .filter(({ settings }) => settings.driver !== 'memory')
  if (devices.length === 0) return [{ grade: 'skip', cause: 'no device is on a pin' }]
  const told = await Promise.all(devices.map(device => checkDevice(device, deps, running)))
  return [...twice(devices), ...(await mayUse(deps)), ...told]
}

function twice(devices: readonly GpioDevice[]): Told[] {
  const users = new Map<string, string[]>()
  for (const device of devices) users.set(lineOf(device), [...(users.get(lineOf(device)) ?? []), nameOf(device)])
  return [...users]
    .filter(([, names]) => names.length > 1)
    .map(([subject, names]) => ({
      subject,
      grade: 'fail',
      cause: `${names.join(' and ')} are on the same pin`,
      mend: 'Give each a pin of its own.',
    }))
}

/** The character device, or the older interface of sysfs. */
async function mayUse({ roots }: DoctorDependencies): Promise<Told[]> {
  const [device, sysfs] = [join(roots.dev, 'gpiochip0'), join(roots.sys, 'class/gpio/export')]
  const ways: [string, number][] = [
    [device, constants.R_OK | constants.W_OK],
    [sysfs, constants.W_OK],
  ]
  for (const [path, mode] of ways) {
    const isOpen = await access(path, mode).then(
      () => true,
      () => false,
    )
    if (isOpen) return [{ grade: 'ok', cause: `${path} may be used` }]
  }
  const mend = '"sudo usermod -aG gpio $USER" (for the service: the user larder), then log in again.'
  return [{ grade: 'fail', cause: `this user may use neither ${device} nor ${sysfs}`, mend }]
}

async function checkDevice(device: GpioDevice, deps: DoctorDependencies, running: Running | undefined): Promise<Told> {
  const subject = nameOf(device)
  let chip: Chip
  try {
    chip = await deps.chipOf(device.settings)
  } catch (error) {
    if (!(error instanceof LarderError)) throw error
    const mend = error.hint === undefined ? {} : { mend: error.hint }
    return { subject, grade: 'fail', cause: error.message.replace(/\.$/, ''), ...mend }
  }
  const line = lineOf(device)
  const state = running?.devices.find(({ room, name }) => room === device.room && name === device.name)?.state
  if (state === 'offline') {
    return { subject, grade: 'fail', cause: `the running gateway cannot use ${line}`, mend: 'Its log says why.' }
  }
  if (state !== undefined) return { subject, grade: 'ok', cause: `${line} is in use by the gateway` }
  const user = userOf(await deps.ask('gpioinfo', []), chip, device.settings.pin)
  if (user === undefined) return { subject, grade: 'ok', cause: `${line} is there, on ${chip.label}` }
  return { subject, grade: 'fail', cause: `${line} is in use by "${user}"`, mend: 'Stop that, or take another pin.' }
}

/** What `gpioinfo` says of a line, in its versions 1 (`line 17: "GPIO17" "relay" output`) and 2 (`… consumer="relay"`). */
function userOf(answer = '', chip: Chip, pin: number): string | undefined {
  const block = answer.split(/^(?=gpiochip\d+ - )/m).find(each => chip.isNamed(each.split(' ', 1)[0] ?? ''))
  const line = new RegExp(`^\\s*line\\s+${pin}:(.*)$`, 'm').exec(block ?? '')?.[1] ?? ''
  return /consumer="?([^"\s]+)/.exec(line)?.[1] ?? /^\s+(?:"[^"]*"|unnamed)\s+"([^"]+)"/.exec(line)?.[1]
}

const nameOf = ({ room, name }: GpioDevice) => `${room}/${name}`
const lineOf = ({ settings: { chip, pin } }: GpioDevice) =>
  chip === undefined ? `GPIO ${pin}` : `${chip}, line ${pin}`
