/**
 * Environment variables that take the place of a value in the file: `LARDER_NAME` and its like. A fault
 * in one is told with the variable's name in the place of the file's. One that is empty counts as unset.
 */
import type { Key } from './fault.ts'
import { isMap } from './structure.ts'

const SCALARS: readonly (readonly [string, readonly string[]])[] = [
  ['LARDER_NAME', ['name']],
  ['LARDER_DATA_DIR', ['data_dir']],
  ['LARDER_PASSWORD_FILE', ['access', 'password_file']],
  ['LARDER_ACL_FILE', ['access', 'acl_file']],
  ['LARDER_ALLOW_ANONYMOUS', ['access', 'allow_anonymous']],
  ['LARDER_DASHBOARD_LISTEN', ['dashboard', 'listen']],
  ['LARDER_DASHBOARD_USERS', ['dashboard', 'users']],
  ['LARDER_METRICS_LISTEN', ['metrics', 'listen']],
  ['LARDER_LOG_LEVEL', ['log', 'level']],
  ['LARDER_LOG_FORMAT', ['log', 'format']],
]

const LISTENERS = 'LARDER_LISTENERS'

export interface Overridden {
  /** The file's values with those of the environment in their places; the given ones are left as they are. */
  root: unknown
  /** The variable that a value came from, and where in it the value begins (from 1); undefined when it is the file's. */
  sourceOf(keys: readonly Key[]): { variable: string; column: number } | undefined
}

export function applyOverrides(written: unknown, env: NodeJS.ProcessEnv): Overridden {
  if (!isMap(written)) return { root: written, sourceOf: () => undefined }
  const root: Record<string, unknown> = { ...written }
  const sources = new Map<string, { variable: string; column: number }>()
  for (const [variable, keys] of SCALARS) {
    const text = env[variable]
    if (!text) continue
    const [first, second] = keys
    if (second === undefined) root[first!] = text
    else {
      const section = root[first!] ?? {}
      // A section that is no map at all is a fault of the file, which is told as such.
      if (!isMap(section)) continue
      root[first!] = { ...section, [second]: text }
    }
    sources.set(keys.join(), { variable, column: 1 })
  }
  const listeners = env[LISTENERS]
  if (listeners) {
    let column = 1
    root.listeners = listeners.split(',').map((part, index) => {
      const indent = part.length - part.trimStart().length
      sources.set(['listeners', index].join(), { variable: LISTENERS, column: column + indent })
      column += part.length + 1
      return part.trim()
    })
  }
  return { root, sourceOf: keys => sources.get(keys.slice(0, 2).join()) ?? sources.get(keys.slice(0, 1).join()) }
}
