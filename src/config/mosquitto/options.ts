/** All options of Mosquitto 2.0 and 2.1, and some that older ones had: what each of them comes to here. */
import { likelySpelling } from '../spelling.ts'
import { BRIDGE_OPTIONS } from './bridge-options.ts'
import { LIMIT_OPTIONS, LOG_OPTIONS, PERSISTENCE_OPTIONS, PROCESS_OPTIONS } from './general-options.ts'
import { ACCESS_OPTIONS, LISTENER_OPTIONS, TLS_OPTIONS } from './listener-options.ts'
import type { Option } from './option.ts'
import { PLUGIN_OPTIONS, pluginOption } from './plugin-options.ts'
import { ConfFault } from './values.ts'

/** `include_dir` is missing: it is the loader's own. */
export const OPTIONS: Readonly<Record<string, Option>> = {
  ...LISTENER_OPTIONS,
  ...TLS_OPTIONS,
  ...ACCESS_OPTIONS,
  ...LIMIT_OPTIONS,
  ...PERSISTENCE_OPTIONS,
  ...LOG_OPTIONS,
  ...PROCESS_OPTIONS,
  ...PLUGIN_OPTIONS,
  ...BRIDGE_OPTIONS,
}

/** Throws a ConfFault when there is no such option. */
export function optionNamed(name: string): Option {
  const known = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : pluginOption(name)
  if (known !== undefined) return known
  const likely = likelySpelling(name, Object.keys(OPTIONS))
  const hint = likely === undefined ? '' : ` Did you mean ${likely}?`
  throw new ConfFault(`Unknown configuration variable "${name}".${hint}`)
}
