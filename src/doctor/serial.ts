/** Serial ports: is the adapter there, is its path one that stays, may the gateway open it, and does nobody else have it? */
import { access, constants, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { DeviceConfig } from '../config/schema.ts'
import { reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { Check } from './examine.ts'
import type { DoctorDependencies, Running, Told } from './ports.ts'
import { gatewayOn, holdersOf, named } from './processes.ts'

type SerialDevice = Extract<DeviceConfig, { kind: 'serial' }>

export const checkSerial: Check = async ({ config, running }, deps) => {
  if (config === undefined) return [{ grade: 'skip', cause: 'devices stand in the configuration' }]
  const devices = config.devices.filter((device): device is SerialDevice => device.kind === 'serial')
  if (devices.length === 0) return [{ grade: 'skip', cause: 'no device is on a serial port' }]
  const gateway = await gatewayOn(config.dataDir, deps.roots.proc)
  const own = new Set([process.pid, ...gateway.map(({ pid }) => pid)])
  const told = await Promise.all(devices.map(device => checkDevice(device, { deps, running, own })))
  return told.flat()
}

async function checkDevice(
  { room, name, settings }: SerialDevice,
  { deps, running, own }: { deps: DoctorDependencies; running: Running | undefined; own: ReadonlySet<number> },
): Promise<Told[]> {
  const subject = `${room}/${name}`
  const { path, usb } = settings
  const found = path === undefined ? await deps.findUsb(usb as NonNullable<typeof usb>) : [path]
  const ports = await deps.serialPorts()
  if (found.length !== 1) {
    const what = `${usb?.vendor}:${usb?.product}`
    const cause = found.length === 0 ? `no adapter ${what} is plugged in` : `several adapters ${what} are plugged in`
    const mend =
      found.length === 0 ? 'Plug it in; "larder devices list" shows what is there.' : 'Add its "serial" to "usb".'
    return [{ subject, grade: 'fail', cause, mend }]
  }
  const port = found[0] as string
  const real = await realpath(port).catch(() => undefined)
  if (real === undefined) {
    const there = ports.map(each => each.byId ?? each.path).join(', ')
    const mend = there === '' ? 'Is it plugged in? In a container, is the device given to it?' : `There is ${there}.`
    return [{ subject, grade: 'fail', cause: `${port} is not there`, mend }]
  }
  const told: Told[] = []
  const forbidden = await denied(real)
  if (forbidden !== undefined) told.push(forbidden)
  const console = await consoleOn(real, deps.roots.proc)
  if (console) {
    told.push({
      grade: 'fail',
      cause: `the console of the system is on ${port}: it writes into what the device says`,
      mend: '"sudo raspi-config", Interface Options, Serial Port: no login shell, hardware enabled; then restart.',
    })
  }
  const others = (await holdersOf([real], deps.roots.proc)).filter(({ pid }) => !own.has(pid))
  if (others.length > 0)
    told.push({
      grade: 'fail',
      cause: `${named(others)} has ${port} open too`,
      mend: 'Stop it: one of the two loses bytes.',
    })
  const byId = ports.find(each => each.path === real || each.path === port)?.byId
  if (path !== undefined && byId !== undefined && path !== byId && !path.startsWith('/dev/serial/'))
    told.push({
      grade: 'warn',
      cause: `${path} may be another adapter after the next start`,
      mend: `Write "path: ${byId}", which stays the same.`,
    })
  const state = running?.devices.find(each => each.room === room && each.name === name)?.state
  if (told.length === 0 && (state === 'offline' || state === 'stale'))
    told.push({
      grade: 'warn',
      cause: `${port} is there, and the device says nothing`,
      mend: 'Check wiring, baud rate and codec.',
    })
  if (told.length === 0) told.push({ grade: 'ok', cause: `${port} is there, and may be opened` })
  return told.map(each => ({ subject, ...each }))
}

async function denied(port: string): Promise<Told | undefined> {
  try {
    await access(port, constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    if (systemCodeOf(error) !== 'EACCES') return { grade: 'fail', cause: reasonOf(error) }
    const { gid } = await stat(port)
    const group = (await groupName(gid)) ?? `${gid}`
    return {
      grade: 'fail',
      cause: `this user may not open ${port}, which is for the group ${group}`,
      mend: `"sudo usermod -aG ${group} $USER" (for the service: the user larder), then log in again.`,
    }
  }
}

async function groupName(gid: number): Promise<string | undefined> {
  const lines = (await readFile('/etc/group', 'utf8').catch(() => '')).split('\n')
  return lines.find(line => line.split(':')[2] === `${gid}`)?.split(':')[0]
}

/** What the kernel was told: `console=serial0,115200`, where serial0 is a link to the port. */
async function consoleOn(real: string, proc: string): Promise<boolean> {
  const told = await readFile(join(proc, 'cmdline'), 'utf8').catch(() => '')
  const names = [...told.matchAll(/\bconsole=([\w.]+)/g)].map(match => match[1] ?? '')
  const paths = await Promise.all(names.map(name => realpath(join('/dev', name)).catch(() => `/dev/${name}`)))
  return paths.some(path => basename(path) === basename(real))
}
