/**
 * Plugins of mosquitto.conf. They are libraries for Mosquitto, which nothing else can load. Four that Mosquitto
 * brings are known by what they are for; a configuration with another is refused, because it may be what keeps
 * strangers out.
 */
import { setFile } from './listener-options.ts'
import { type At, ignored, type Option, option } from './option.ts'
import { anything, ConfFault, flag, text, words } from './values.ts'

/** By the name of their file. */
const KNOWN: Readonly<Record<string, 'password_file' | 'acl_file' | 'other'>> = {
  mosquitto_password_file: 'password_file',
  mosquitto_acl_file: 'acl_file',
  mosquitto_persist_sqlite: 'other',
  mosquitto_sparkplug_aware: 'other',
}

const load = option(text, (path, at) => open(path, at))

export const PLUGIN_OPTIONS: Readonly<Record<string, Option>> = {
  plugin: load,
  auth_plugin: load,
  global_plugin: load,
  /** Its first word is a name. */
  plugin_load: option(text, (value, at) => open(words(value).slice(1).join(' '), at)),
  plugin_use: ignored('is not needed: what the plugin was loaded for applies everywhere'),
  auth_plugin_deny_special_chars: option(flag, (_, { cursor }) => {
    if (cursor.plugin === undefined) {
      throw new ConfFault('An auth_plugin_deny_special_chars option exists in the config file without a plugin.')
    }
    return 'is not needed: names with + or # in them never widen a rule'
  }),
}

function open(path: string, { cursor, draft, place }: At): string {
  const [file = ''] = path.split('/').slice(-1)
  const name = file.replace(/\.(so|dll|dylib)$/, '')
  const purpose = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined
  if (purpose === undefined) {
    throw new ConfFault(
      `Unable to load plugin "${path}": Larder cannot load libraries for Mosquitto. ` +
        'If it is what decides who may come in, use password_file and acl_file; if not, remove the line.',
    )
  }
  cursor.plugin = purpose
  if (name === 'mosquitto_persist_sqlite') {
    draft.persistence ??= { isOn: true, place }
    return 'is not needed: what is acknowledged is on disk at once'
  }
  return purpose === 'other' ? 'is not honoured: it is a library for Mosquitto' : 'is not needed: it is built in'
}

/** `plugin_opt_NAME` or `auth_opt_NAME`; undefined when `name` is neither. */
export function pluginOption(name: string): Option | undefined {
  const [, option_] = /^(?:plugin|auth)_opt_(.*)$/.exec(name) ?? []
  if (option_ === undefined) return undefined
  return option(anything, (value, at) => {
    const { plugin } = at.cursor
    if (plugin === undefined) throw new ConfFault('A plugin_opt_ option exists in the config file without a plugin.')
    if (value === '') throw new ConfFault(`Empty ${name} value in configuration.`)
    if (plugin !== 'other' && option_ === plugin) {
      setFile(at, plugin, value)
      return undefined
    }
    return 'is not honoured: it is a setting of a library for Mosquitto'
  })
}
