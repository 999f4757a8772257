/** From what the lines gathered to one map of larder.yaml, and to Mosquitto's habits beside it. */
import { join } from 'node:path'
import { DEFAULT_LOG_TYPES, type Draft, type Habits, type Notice } from './draft.ts'
import { finishBridge } from './finish-bridges.ts'
import { finishAccess, finishListeners, type Machine, type Ports } from './finish-listeners.ts'
import { levelOf } from './general-options.ts'
import { type Place, Section } from './section.ts'

/** What Mosquitto takes when nothing is said (mosquitto.conf(5)). */
const MAX_INFLIGHT = 20
const MAX_QUEUED = 1_000

/** The file in which Mosquitto keeps its database; another name is another folder of ours. */
const DATABASE = 'mosquitto.db'

export interface ConfFaultAt {
  /** Undefined: the whole file. */
  place: Place | undefined
  /** As Mosquitto has it, without `Error: `. */
  message: string
}

export interface FinishOptions {
  machine: Machine
  ports: Ports
  /** Absolute. */
  cwd: string
}

export interface FinishedDraft {
  root: Section
  habits: Habits
  notices: Notice[]
  faults: ConfFaultAt[]
}

export function finish(draft: Draft, { machine, ports, cwd }: FinishOptions): FinishedDraft {
  const { entries, isLocalOnly, notices, faults } = finishListeners(draft, machine, ports)
  const root = new Section()
  const { place } = draft.persistenceLocation ?? draft.persistenceFile ?? {}
  root.set('data_dir', dataDir(draft, cwd), place)
  root.set('listeners', entries)
  // With per_listener_settings nothing stands for all.
  const access = draft.perListener ? new Section() : draft.access
  const early = draft.defaultListener.access
  const isDefaultOpen = isLocalOnly || draft.defaultListenerPlace !== undefined
  const kept = isLocalOnly ? Section.merged(access, early) : access
  for (const [, entry] of isDefaultOpen ? [] : early) {
    const message = 'is not used: with per_listener_settings true it belongs behind a listener'
    if (entry.place !== undefined) notices.push({ place: entry.place, message })
  }
  finishAccess(kept, isLocalOnly)
  root.set('access', kept)
  if (!draft.store.isEmpty) root.set('store', draft.store)
  finishLimits(draft)
  root.set('limits', draft.limits)
  if (!draft.metrics.isEmpty) root.set('metrics', draft.metrics)
  const bridges = draft.bridges.map(bridge => finishBridge(bridge, { machine, notices, faults }))
  if (bridges.length > 0) root.set('bridges', bridges)
  const log = new Section()
  log.set('level', levelOf(draft.log.types))
  root.set('log', log)
  return { root, habits: habitsOf(draft, isLocalOnly), notices: [...draft.notices, ...notices], faults }
}

function dataDir({ persistenceLocation, persistenceFile }: Draft, cwd: string): string {
  const folder = persistenceLocation?.path
  if (persistenceFile !== undefined && persistenceFile.name !== DATABASE) {
    return join(folder ?? cwd, `${persistenceFile.name}.larder`)
  }
  return folder ?? join(cwd, 'larder-data')
}

function finishLimits({ limits, messageSizeLimit }: Draft): void {
  limits.setDefault('max_inflight', MAX_INFLIGHT)
  limits.setDefault('max_queued_messages', MAX_QUEUED)
  if (messageSizeLimit !== undefined && !limits.has('max_packet_size')) {
    limits.set('max_packet_size', messageSizeLimit.bytes, messageSizeLimit.place)
  }
}

function habitsOf({ log, pidFile, user, persistence }: Draft, isLocalOnly: boolean): Habits {
  const { destinations = ['stderr'], types = DEFAULT_LOG_TYPES, timestamp = true, connectionMessages = true } = log
  return {
    log: { ...log, destinations, types, timestamp, connectionMessages },
    ...(pidFile === undefined ? {} : { pidFile }),
    ...(user === undefined ? {} : { user }),
    isLocalOnly,
    isVolatile: persistence?.isOn !== true,
  }
}
