/** From the file as it was read to the `Config` that the gateway gets: what depends on several places is filled in here. */
import { resolve } from 'node:path'
import type { AccessEntry } from './access.ts'
import { isPublic } from './addresses.ts'
import type { BridgeEntry } from './bridges.ts'
import { type PlacedDevice, placed } from './devices.ts'
import type { ListenerEntry } from './listeners.ts'
import type { Root } from './root.ts'
import type {
  AccessConfig,
  BridgeConfig,
  Config,
  DashboardConfig,
  DeviceConfig,
  ListenerConfig,
  MetricsConfig,
  TlsConfig,
} from './schema.ts'

interface Folders {
  /** Relative paths of the file begin here. */
  base: string
  /** A relative `data_dir` begins here; not `base` when the environment brought it. */
  dataBase: string
}

export function assemble(root: Root, { base, dataBase }: Folders): Config {
  const dataDir = resolve(dataBase, root.dataDir)
  return {
    ...root,
    dataDir,
    access: assembleAccess(root.access, base, true),
    listeners: root.listeners.map(entry => assembleListener(entry, root, base)),
    devices: root.devices.map(entry => assembleDevice(placed(entry, root.name), { base, dataDir })),
    bridges: root.bridges.map(entry => assembleBridge(entry, root.name, base)),
    dashboard: assembleDashboard(root, base),
    metrics: assembleMetrics(root.metrics, base),
  }
}

function assembleMetrics(entry: MetricsConfig, base: string): MetricsConfig {
  const { passwordFile } = entry
  return passwordFile === undefined ? entry : { ...entry, passwordFile: resolve(base, passwordFile) }
}

/** Where nobody has named an address for it, the page gives way to whatever else is to be there. */
function assembleDashboard({ dashboard, listeners, metrics }: Root, base: string): DashboardConfig {
  const { listen, users, tls, ...rest } = dashboard
  const others = [...listeners.map(({ address }) => address), metrics.listen]
  const isTaken = rest.isDefault && others.some(other => other?.port === listen?.port)
  return {
    ...rest,
    ...(listen === undefined || isTaken ? {} : { listen }),
    ...(users === undefined ? {} : { users: resolve(base, users) }),
    ...(tls === undefined ? {} : { tls: { cert: resolve(base, tls.cert), key: resolve(base, tls.key) } }),
  }
}

const PROTOCOL_LEVELS = { '3.1': 3, '3.1.1': 4, '5': 5 } as const

function assembleListener(entry: ListenerEntry, root: Root, base: string): ListenerConfig {
  const { address, tls, access = root.access, versions, mountPoint = '', socketMode, maxPacketSize, ...rest } = entry
  const { protocol, path, ...place } = address
  return {
    ...rest,
    ...place,
    protocol,
    ...(path === undefined ? {} : { path: protocol === 'unix' ? resolve(base, path) : path }),
    ...(tls === undefined ? {} : { tls: assembleTls(tls, base) }),
    access: assembleAccess(access, base, !isPublic(address)),
    maxPacketSize: maxPacketSize ?? root.limits.maxPacketSize,
    versions: versions.map(version => PROTOCOL_LEVELS[version]),
    mountPoint,
    socketMode: Number.parseInt(socketMode, 8),
  }
}

const TLS_FILES = ['cert', 'key', 'ca', 'caFolder', 'crl', 'pskFile'] as const

function assembleTls(entry: TlsConfig, base: string): TlsConfig {
  const assembled = { ...entry }
  for (const file of TLS_FILES) {
    const path = entry[file]
    if (path !== undefined) assembled[file] = resolve(base, path)
  }
  return assembled
}

function assembleBridge(entry: BridgeEntry, gateway: string, base: string): BridgeConfig {
  const bridge = { clientId: `larder-${gateway}-${entry.name}`, ...entry }
  if (bridge.tls === undefined) return bridge
  const tls = { ...bridge.tls }
  for (const file of ['ca', 'caFolder', 'cert', 'key'] as const) {
    const path = tls[file]
    if (path !== undefined) tls[file] = resolve(base, path)
  }
  return { ...bridge, tls }
}

/** Without a word on it, whoever comes from this machine may come in, if there are no passwords. */
function assembleAccess(entry: AccessEntry, base: string, isPrivate: boolean): AccessConfig {
  const { passwordFile, aclFile, allowAnonymous, ...rest } = entry
  const at = (file: string | undefined) => (file === undefined ? undefined : resolve(base, file))
  return {
    ...rest,
    passwordFile: at(passwordFile),
    aclFile: at(aclFile),
    allowAnonymous: allowAnonymous ?? (isPrivate && passwordFile === undefined),
  }
}

/** What `devices` stands for when there is no file at all: a bare machine has something to show. */
export const BARE_DEVICES = [{ name: 'Gateway', system: {} }]

function assembleDevice(entry: PlacedDevice, defaults: { base: string; dataDir: string }): DeviceConfig {
  const at = (path: string) => resolve(defaults.base, path)
  switch (entry.kind) {
    case 'serial': {
      const { settings } = entry
      const path = settings.path === undefined ? {} : { path: at(settings.path) }
      const file = settings.codec === 'custom' ? { file: at(settings.file) } : {}
      return { ...entry, settings: { ...settings, ...path, ...file } }
    }
    case 'file': {
      const { path } = entry.settings
      return { ...entry, settings: { ...entry.settings, ...(path === undefined ? {} : { path: at(path) }) } }
    }
    case 'gpio':
      return { ...entry }
    case 'system': {
      const { disk, ...settings } = entry.settings
      return { ...entry, settings: { ...settings, disk: disk === undefined ? defaults.dataDir : at(disk) } }
    }
  }
}
