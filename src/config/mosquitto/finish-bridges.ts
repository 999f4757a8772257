/** From what the lines of a `connection` gathered to an entry below `bridges`: what depends on several of them. */
import type { BridgeDraft, Notice } from './draft.ts'
import type { ConfFaultAt } from './finish.ts'
import type { Machine } from './finish-listeners.ts'
import { Section } from './section.ts'

/** Seconds between two attempts (mosquitto.conf(5)). */
const RESTART = { base: 5, cap: 30 }

interface Findings {
  machine: Machine
  notices: Notice[]
  faults: ConfFaultAt[]
}

export function finishBridge(bridge: BridgeDraft, { machine, notices, faults }: Findings): Section {
  const { name, place, keys, rules, password } = bridge
  if (!bridge.hasAddress) faults.push({ place, message: 'Invalid bridge configuration: no remote addresses defined.' })
  if (!bridge.hasTopics) faults.push({ place, message: 'Invalid bridge configuration: no topics defined.' })
  const section = Section.merged(keys)
  section.setDefault('client_id', `${machine.hostname}.${name}`)
  if (password !== undefined) {
    if (keys.has('username')) section.set('password', password.password, password.place)
    else notices.push({ place: password.place, message: 'is not used: it needs a remote_username' })
  }
  leaveOut(section, bridge, notices)
  // Mosquitto tells both sides unless it is told not to.
  const { notifications, isLocalOnly = false } = bridge
  if (notifications?.isOn !== false && !isLocalOnly) section.set('notify_upstream', true, notifications?.place)
  const { base, cap, place: restartPlace } = { place: undefined, ...(bridge.restart ?? RESTART) }
  const retry = new Section()
  retry.set('min', `${base}s`, restartPlace)
  retry.set('max', `${cap}s`, restartPlace)
  section.set('retry', retry)
  for (const way of ['out', 'in', 'both'] as const) if (rules[way].length > 0) section.set(way, rules[way])
  return section
}

/** Lines that Mosquitto reads and does nothing with, because of others. */
function leaveOut(section: Section, { rules }: BridgeDraft, notices: Notice[]): void {
  const drop = (key: string, message: string) => {
    const place = section.placeAt(key)
    if (place !== undefined) notices.push({ place, message })
    section.delete(key)
  }
  if (section.get('version') !== '5') {
    for (const key of ['session_expiry', 'receive_maximum', 'max_topic_alias']) {
      drop(key, 'is not used: it needs bridge_protocol_version mqttv50')
    }
  }
  if (section.get('clean_session') === true) drop('session_expiry', 'is not used: cleansession true says more')
  if (section.get('start_type') === 'lazy' && rules.out.length + rules.both.length === 0) {
    drop('start_type', 'is taken as automatic: with topics for in alone, nothing would ever wait for the connection')
  }
  if (!section.has('urls')) drop('round_robin', 'is not used: there is one address')
  if (section.get('start_type') !== 'lazy') {
    for (const key of ['threshold', 'idle_timeout']) drop(key, 'is not used: it needs start_type lazy')
  }
}
