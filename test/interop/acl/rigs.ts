/** Brokers with an ACL file that can be changed while they run. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { faultLine, loadConfig } from '../../../src/config/load.ts'
import { prepareGateway } from '../../support/gateway.ts'
import { startMosquitto } from '../../support/mosquitto.ts'
import { until } from '../../support/wait.ts'
import { aclText, login, publishes } from './observe.ts'

export interface AclBroker extends AsyncDisposable {
  readonly port: number
  /** Gives the broker another ACL file and has it read; resolves when its rules are in force. */
  change(lines: readonly string[]): Promise<void>
  /** An orderly stop, and a start with the same data. */
  restart(): Promise<void>
  /** What it said so far, for failure messages. */
  log(): string
}

/** Starts a broker with an ACL file, without passwords. */
export type StartAclBroker = (lines: readonly string[]) => Promise<AclBroker>

/** Debian's. */
export const startMosquittoWith: StartAclBroker = async lines => {
  const dir = await mkdtemp(join(tmpdir(), 'larder-acl-'))
  const file = join(dir, 'acl')
  await writeFile(file, aclText(lines))
  const config = [`acl_file ${file}`, 'pid_file {dir}/pid', 'max_inflight_messages 1000']
  // Its manual says that it checks the source of retained messages by default; 2.0.11 does when told to.
  const persistence = ['persistence true', 'persistence_location {dir}/', 'check_retain_source true']
  const mosquitto = await startMosquitto({ config: [...config, ...persistence] })
  return {
    port: mosquitto.port,
    change: async changed => {
      const pid = Number(await readFile(join(mosquitto.dir, 'pid'), 'utf8'))
      await changeAcl({ file, lines: changed, port: mosquitto.port, reload: () => process.kill(pid, 'SIGHUP') })
    },
    restart: () => mosquitto.restart(),
    log: () => mosquitto.logs().slice(-4_000),
    [Symbol.asyncDispose]: async () => {
      await mosquitto.remove()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** The built gateway. */
export const startLarderWith: StartAclBroker = async lines => {
  const gateway = await prepareGateway({ config: LARDER_CONFIG })
  const file = join(gateway.folder, 'acl')
  await writeFile(file, aclText(lines))
  await gateway.start()
  return {
    port: gateway.port,
    change: changed =>
      changeAcl({ file, lines: changed, port: gateway.port, reload: () => process.kill(gateway.pid, 'SIGHUP') }),
    restart: () => gateway.restart(),
    log: () => gateway.log,
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  }
}

const LARDER_CONFIG = 'access:\n  acl_file: acl'

/** Why the gateway cannot be tested yet; undefined when it can. */
export function larderLacks(): string | undefined {
  const read = loadConfig({ text: LARDER_CONFIG, env: {}, cwd: tmpdir(), checks: { cron: () => undefined } })
  if ('faults' in read) return `it does not know its setting yet: ${read.faults.map(faultLine).join('; ')}`
  return undefined
}

let changes = 0

/** A rule of its own shows when the new file is in force, whatever the broker logs. */
async function changeAcl(change: { file: string; lines: readonly string[]; port: number; reload(): void }) {
  const topic = `changed/${++changes}`
  const canary = { id: 'canary', userName: 'canary' }
  await writeFile(change.file, `${aclText(change.lines)}user canary\ntopic write ${topic}\n`)
  change.reload()
  await using client = await login(change.port, canary)
  await until(() => publishes(client, topic), { what: 'the new ACL file to be in force' })
}
