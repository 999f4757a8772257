/** From the file as it was read to the `Config` that the gateway gets: what depends on several places is filled in here. */
import { resolve } from 'node:path'
import { type DeviceEntry, defaultTopic } from './devices.ts'
import type { Root } from './root.ts'
import type { Config, DeviceConfig } from './schema.ts'

interface Folders {
  /** Relative paths of the file begin here. */
  base: string
  /** A relative `data_dir` begins here; not `base` when the environment brought it. */
  dataBase: string
}

export function assemble(root: Root, { base, dataBase }: Folders): Config {
  const dataDir = resolve(dataBase, root.dataDir)
  const { passwordFile } = root.access
  return {
    ...root,
    dataDir,
    access: { ...root.access, passwordFile: passwordFile === undefined ? undefined : resolve(base, passwordFile) },
    devices: root.devices.map(entry => assembleDevice(entry, { room: root.name, base, dataDir })),
    bridges: root.bridges.map(entry => ({ clientId: `larder-${root.name}-${entry.name}`, ...entry })),
  }
}

/** What `devices` stands for when there is no file at all: a bare machine has something to show. */
export const BARE_DEVICES = [{ name: 'Gateway', system: {} }]

function assembleDevice(entry: DeviceEntry, defaults: { room: string; base: string; dataDir: string }): DeviceConfig {
  const room = entry.room ?? defaults.room
  const named = { room, topic: defaultTopic(room, entry.name) }
  const at = (path: string) => resolve(defaults.base, path)
  switch (entry.kind) {
    case 'serial':
    case 'file':
      return { ...named, ...entry, settings: { ...entry.settings, path: at(entry.settings.path) } } as DeviceConfig
    case 'gpio':
      return { ...named, ...entry }
    case 'system': {
      const { disk, ...settings } = entry.settings
      return { ...named, ...entry, settings: { ...settings, disk: disk === undefined ? defaults.dataDir : at(disk) } }
    }
  }
}
