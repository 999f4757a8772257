/** Where the web page is to be, of a configuration that has faults: as far as that part of it can be read. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { type LoadOptions, loadConfig } from './load.ts'
import type { DashboardConfig } from './schema.ts'
import { isMap } from './structure.ts'

/** What `dashboard` says, by itself; where that has faults too, what is built in: this machine alone reaches it then. */
export function dashboardAlone(options: LoadOptions): DashboardConfig {
  const { file, cwd } = options
  try {
    const text = file === undefined ? '' : readFileSync(resolve(cwd, file), 'utf8')
    const root: unknown = parseDocument(text, { logLevel: 'silent' }).toJS()
    const written = isMap(root) ? root.dashboard : undefined
    const result = loadConfig({ ...options, text: JSON.stringify(written === undefined ? {} : { dashboard: written }) })
    if ('config' in result) return result.config.dashboard
  } catch {
    // Not even that.
  }
  const result = loadConfig({ ...options, file: options.file ?? 'larder.yaml', text: '', env: {} })
  if ('faults' in result) throw new Error('the built-in configuration has faults')
  return result.config.dashboard
}
