/** A gateway in this process whose limits are what a test is about, and can be changed while it runs. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { createGateway, type Gateway } from '../../src/index.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { type LogLine, recordLog } from './record-log.ts'

export interface Limited {
  readonly gateway: Gateway
  readonly port: number
  /** Of each listener. */
  readonly ports: number[]
  readonly lines: LogLine[]
  /** Warnings whose text has this in it. */
  warnings(part: string): LogLine[]
  /** Takes up other limits, as a reload of the file does. */
  reload(limits: Record<string, unknown>): Promise<void>
  /** Ends it, and starts another on the same folder. */
  restart(limits: Record<string, unknown>): Promise<Limited>
}

/** Ends with the test. `settings` are more keys of `larder.yaml`. */
export async function startLimited(
  limits: Record<string, unknown>,
  options: { settings?: Record<string, unknown>; clock?: Clock; folder?: string } = {},
): Promise<Limited> {
  const { clock } = options
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'larder-limits-')))
  const settings = { data_dir: folder, listeners: ['mqtt://127.0.0.1:0'], ...options.settings }
  const { log, lines } = recordLog()
  const gateway = createGateway({ ...settings, limits }, { log, ...(clock === undefined ? {} : { clock }) })
  await gateway.start()
  onTestFinished(async () => {
    await gateway.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const ports = gateway.addresses().map(address => Number(new URL(address).port))
  return {
    gateway,
    port: ports[0] as number,
    ports,
    lines,
    warnings: part => lines.filter(({ level, message }) => level === 'warn' && message.includes(part)),
    reload: async changed => void (await gateway.reload(configOf({ ...settings, limits: changed }))),
    restart: async changed => {
      await gateway.stop()
      return startLimited(changed, { ...options, folder })
    },
  }
}

function configOf(settings: Record<string, unknown>): Config {
  const result = loadConfig({ text: JSON.stringify(settings), env: {}, cwd: '/', checks: { cron: () => undefined } })
  if ('faults' in result) throw new Error(JSON.stringify(result.faults))
  return result.config
}
