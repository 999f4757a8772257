/** What the doctor has of this machine and of the gateway's parts. Part of the composition root, with `main.ts`. */
import { execFile } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { chooseChip, readChips } from '../device/gpio/chip.ts'
import { findUsb, listPorts } from '../device/serial/usb.ts'
import { addressesOf } from './bridge/connection.ts'
import { dial, readTls } from './bridge/dial.ts'
import { faultOf } from './bridge/faults.ts'
import { examine } from './doctor/examine.ts'
import type { DoctorDependencies, Finding, Roots, Subject } from './doctor/ports.ts'
import type { Clock, ClockSync } from './kernel/clock.ts'
import { SystemClockSync } from './kernel/clock-sync.ts'
import { silentLog } from './kernel/log.ts'
import { verifyStore } from './store/verify.ts'

/** Milliseconds for a tool that answers at once. */
const TOOL_TIMEOUT = 3_000
const MACHINE: Roots = { sys: '/sys', proc: '/proc', dev: '/dev' }

/** Looks everything over. See `examine`. */
export function examineGateway(
  subject: Subject,
  { clock, sync, roots = MACHINE }: { clock: Clock; sync?: ClockSync; roots?: Roots },
): AsyncIterable<Finding> {
  const ports = { sysfs: roots.sys, dev: roots.dev }
  const deps: DoctorDependencies = {
    clock,
    sync: sync ?? trusted(subject, clock),
    roots,
    addresses,
    serialPorts: () => listPorts(ports),
    findUsb: async match => (await findUsb(match, ports)).map(({ path }) => path),
    chipOf: async line => chooseChip(await readChips(`${roots.sys}/class/gpio`), line),
    verify: async dataDir => (await verifyStore({ dataDir, dryRun: true, log: silentLog }))?.faults,
    ask,
    upstreams: bridge =>
      addressesOf(bridge, {}).map(address => {
        const place = `${address.host}:${address.port}`
        return {
          place,
          ...(address.protocol.startsWith('ws') ? { path: address.path } : {}),
          dial: async signal => dial(address, bridge, { tls: await readTls(address, bridge), signal }),
          explain: error => faultOf(error, place),
        }
      }),
  }
  return examine(subject, deps)
}

function trusted({ config }: Subject, clock: Clock): ClockSync {
  const trust = config?.store.trustClock ?? 'auto'
  return trust === 'always' ? { isSynced: () => true } : new SystemClockSync({ clock })
}

/** IPv4 first: that is what sensors know. */
function addresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap(each => each ?? [])
  const others = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  return others.sort((a, b) => a.family.localeCompare(b.family)).map(({ address }) => address)
}

function ask(tool: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise(resolve => {
    const options = { timeout: TOOL_TIMEOUT, env: { ...process.env, LC_ALL: 'C' } }
    execFile(tool, args, options, (error, stdout) => resolve(error === null ? stdout : undefined))
  })
}
