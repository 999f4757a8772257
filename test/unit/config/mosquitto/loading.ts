import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  confFaultLines,
  type LoadedConf,
  loadMosquittoConf,
  type Machine,
  noticeLine,
  type Ports,
} from '../../../../src/config/mosquitto/load.ts'
import { cronFault } from '../../../../src/devices/cron.ts'

export const CWD = '/home/owner'
export const checks = { cron: cronFault }

/** A machine with IPv6 and two interfaces. */
export const MACHINE: Machine = {
  hostname: 'pi',
  hasIPv6: true,
  addressesOf: name => ({ lo: ['127.0.0.1', '::1'], eth0: ['192.168.1.7', 'fe80::7%eth0'] })[name],
}

interface Options {
  machine?: Partial<Machine>
  ports?: Partial<Ports>
  /** More files, by their paths below the folder of the first; `{dir}` in a text is that folder. */
  files?: Readonly<Record<string, string | Buffer>>
}

/** Loads `text` as mosquitto.conf, and gives what became of it with the folder's name taken out. */
export function loadConf(text: string | Buffer, options: Options = {}) {
  const { machine = {}, ports = {}, files = {} } = options
  const dir = mkdtempSync(join(tmpdir(), 'larder-conf-'))
  try {
    for (const [name, content] of Object.entries({ ...files, 'mosquitto.conf': text })) {
      const path = join(dir, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, typeof content === 'string' ? content.replaceAll('{dir}', dir) : content)
    }
    return loadMosquittoConf({
      file: join(dir, 'mosquitto.conf'),
      cwd: CWD,
      checks,
      machine: { ...MACHINE, ...machine },
      ports: { numbers: [], beside: 'ignored', ...ports },
    })
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** What `text` comes to; throws when it has faults. */
export function confOf(text: string, options?: Options): LoadedConf {
  const result = loadConf(text, options)
  if ('faults' in result) throw new Error(result.faults.flatMap(confFaultLines).join('\n'))
  return result
}

const withoutFolder = (line: string): string => line.replace(/\/\S*?larder-conf-[^/]*\//g, '')

/** The faults of `text` as Mosquitto prints them. */
export function faultsOf(text: string | Buffer, options?: Options): string[] {
  const result = loadConf(text, options)
  return 'faults' in result ? result.faults.flatMap(confFaultLines).map(withoutFolder) : []
}

/** What the owner is told of `text`, without `mosquitto.conf:`. */
export function noticesOf(text: string, options?: Options): string[] {
  return confOf(text, options).notices.map(notice => withoutFolder(noticeLine(notice)).replace(/^mosquitto\.conf:/, ''))
}
