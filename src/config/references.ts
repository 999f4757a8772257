/**
 * Faults that lie between entries: what must differ and does not, and names that refer to nothing. They
 * are looked for in the values as they are written, so that a fault elsewhere does not hide them.
 */
import { formatAddress, isPublic, parseAddress } from './addresses.ts'
import { type DeviceKind, type TopicTemplates, topicsOf } from './devices.ts'
import { type Complaint, type Key, pathOf, shorten } from './fault.ts'
import { DEFAULT_NAME } from './root.ts'
import { likelySpelling } from './spelling.ts'
import { isMap } from './structure.ts'
import { either } from './values.ts'

/** A map in a list, and the keys that lead to it. */
interface Entry {
  map: Record<string, unknown>
  keys: readonly Key[]
}

/** Something that only one may have. */
interface Claim {
  on: string
  keys: readonly Key[]
}

/** All such faults of a file. */
export function referenceComplaints(root: unknown): Complaint[] {
  if (!isMap(root)) return []
  const devices = deviceEntries(root)
  const room = typeof root.name === 'string' ? root.name : DEFAULT_NAME
  return [
    ...placeComplaints(devices, isMap(root.devices) ? root.devices : {}, room),
    ...repeats('port', settings(devices, 'serial', 'path'), 'a port has one reader'),
    ...repeats('adapter', adapters(devices), 'a port has one reader'),
    ...repeats('pin', settings(devices, 'gpio', 'pin'), 'a pin has one use'),
    ...repeats('line', lines(devices), 'a line has one use'),
    ...repeats('address', listenerAddresses(root.listeners), 'give one of them another port'),
    ...strangers(root),
    ...repeats('name', bridgeNames(entriesOf(root, 'bridges')), 'give one of them another'),
    ...entriesOf(root, 'schedules').flatMap(schedule => references(schedule, devices)),
  ]
}

function entriesOf(root: Record<string, unknown>, section: string): Entry[] {
  const list = root[section]
  if (!Array.isArray(list)) return []
  return list.flatMap((map, index) => (isMap(map) ? [{ map, keys: [section, index] }] : []))
}

/** Devices stand in a list, or in a map with the list in it. */
function deviceEntries(root: Record<string, unknown>): Entry[] {
  if (!isMap(root.devices)) return entriesOf(root, 'devices')
  return entriesOf(root.devices, 'list').map(({ map, keys }) => ({ map, keys: ['devices', ...keys] }))
}

/** A device or a part of one, as far as it can be read, with the topics that it takes. */
interface Placed {
  entry: Entry
  /** Room and name: what it is called below `$SYS`. */
  path: string
  topics: TopicTemplates & { topic: string }
}

const DERIVED = [
  ['availabilityTopic', 'availability_topic', 'availability'],
  ['commandTopic', 'command_topic', 'set'],
  ['errorTopic', 'error_topic', 'error'],
] as const

/** Topics and names that two have. Of two on one topic, what hangs below it is not told as well. */
function placeComplaints(devices: Entry[], templates: Record<string, unknown>, gateway: string): Complaint[] {
  const all = devices.flatMap(entry => placesOf(entry, templatesOf(templates), gateway))
  const byTopic = new Map(all.toReversed().map(place => [place.topics.topic, place]))
  const first = all.filter(place => byTopic.get(place.topics.topic) === place)
  const keyOf = ({ map, keys }: Entry, key: string) => [...keys, typeof map[key] === 'string' ? key : 'name']
  const states = all.map(({ entry, topics }): Claim => ({ on: topics.topic, keys: keyOf(entry, 'topic') }))
  const derived = first.flatMap(({ entry, topics }) =>
    DERIVED.filter(([, key]) => key === 'availability_topic' || !isPart(entry)).map(
      ([name, key, below]): Claim => ({ on: topics[name] ?? `${topics.topic}/${below}`, keys: keyOf(entry, key) }),
    ),
  )
  const names = first.map(({ entry, path }): Claim => ({ on: path, keys: [...entry.keys, 'name'] }))
  return [
    ...repeats('topic', [...states, ...derived], 'give one of them another name, room or topic'),
    ...repeats('name', names, 'give one of them another name or room'),
  ]
}

function isPart({ keys }: Entry): boolean {
  return keys.includes('parts')
}

function placesOf({ map, keys }: Entry, templates: TopicTemplates, gateway: string): Placed[] {
  const room = map.room ?? ('system' in map ? gateway : undefined)
  const parts = entriesOf(map, 'parts').map(part => ({ ...part, keys: [...keys, ...part.keys] }))
  return [{ map, keys }, ...parts].flatMap((entry): Placed[] => {
    const { name } = entry.map
    const place = entry.map.room ?? room
    const own = templatesOf(entry.map)
    if (typeof name !== 'string') return []
    if (typeof place === 'string') {
      const topics = topicsOf({ ...own, room: place, name }, templates, gateway)
      return [{ entry, path: `${place}/${name}`, topics }]
    }
    // Without a room, which is a fault of its own, a topic may still be known.
    if (own.topic === undefined || own.topic.includes('{')) return []
    return [{ entry, path: own.topic, topics: { topic: own.topic } }]
  })
}

/** The templates in a map as it is written. */
function templatesOf(map: Record<string, unknown>): TopicTemplates {
  const templates: TopicTemplates = {}
  if (typeof map.topic === 'string') templates.topic = map.topic
  for (const [name, key] of DERIVED) if (typeof map[key] === 'string') templates[name] = map[key]
  return templates
}

function settings(devices: Entry[], kind: DeviceKind, setting: string): Claim[] {
  return devices.flatMap(({ map, keys }) => {
    const value = isMap(map[kind]) ? map[kind][setting] : undefined
    const isScalar = typeof value === 'string' || typeof value === 'number'
    return isScalar ? [{ on: `${value}`, keys: [...keys, kind, setting] }] : []
  })
}

/** USB adapters as they are written; whether two ways to write one mean the same is seen when it is plugged in. */
function adapters(devices: Entry[]): Claim[] {
  return devices.flatMap(({ map, keys }) => {
    const usb = isMap(map.serial) ? map.serial.usb : undefined
    if (!isMap(usb)) return []
    const { vendor, product, serial, interface: number } = usb
    const on = [vendor, product, serial, number].filter(each => each !== undefined).join(':')
    return [{ on: on.toLowerCase(), keys: [...keys, 'serial', 'usb'] }]
  })
}

/** Lines of other chips than the header's, as `gpiochip2 3`. */
function lines(devices: Entry[]): Claim[] {
  return devices.flatMap(({ map: { gpio }, keys }) => {
    if (!isMap(gpio) || typeof gpio.chip !== 'string' || !/^\d+$/.test(`${gpio.line}`)) return []
    return [{ on: `${gpio.chip} ${gpio.line}`, keys: [...keys, 'gpio', 'line'] }]
  })
}

function listenerAddresses(listeners: unknown): Claim[] {
  if (!Array.isArray(listeners)) return []
  return listeners.flatMap((entry, index) => {
    const url = isMap(entry) ? entry.url : entry
    const address = typeof url === 'string' ? parseAddress(url) : undefined
    // Port 0 takes a free one each time.
    if (address === undefined || address.port === 0) return []
    const on = formatAddress(address).replace(/^\w+:\/\//, '')
    return [{ on, keys: isMap(entry) ? ['listeners', index, 'url'] : ['listeners', index] }]
  })
}

/** Listeners that other machines reach, and that nobody has said who may use. */
function strangers(root: Record<string, unknown>): Complaint[] {
  if (!Array.isArray(root.listeners)) return []
  return root.listeners.flatMap((entry, index) => {
    const url = isMap(entry) ? entry.url : entry
    const address = typeof url === 'string' ? parseAddress(url) : undefined
    if (address === undefined || !isPublic(address)) return []
    const access = isMap(entry) && entry.access !== undefined ? entry.access : root.access
    if (access !== undefined && access !== null && !isMap(access)) return []
    const rules = isMap(access) ? access : {}
    if ('password_file' in rules || 'allow_anonymous' in rules) return []
    if (isMap(entry) && isMap(entry.tls) && ('psk_file' in entry.tls || entry.tls.client_certificates === 'required')) {
      return []
    }
    const keys = isMap(entry) ? ['listeners', index, 'url'] : ['listeners', index]
    const message =
      `whoever reaches ${shorten(formatAddress(address))} could connect: add access: { password_file: passwords } ` +
      '(larder passwd makes it), or access: { allow_anonymous: true } if that is meant'
    return [{ keys, message, at: 'value' as const }]
  })
}

function bridgeNames(bridges: Entry[]): Claim[] {
  return bridges.flatMap(({ map, keys }) =>
    typeof map.name === 'string' ? [{ on: map.name, keys: [...keys, 'name'] }] : [],
  )
}

function repeats(what: string, claims: Claim[], advice: string): Complaint[] {
  const first = new Map<string, readonly Key[]>()
  const complaints: Complaint[] = []
  for (const { on, keys } of claims) {
    const owner = first.get(on)
    if (owner === undefined) first.set(on, keys)
    else {
      const message = `the ${what} ${shorten(on)} is taken already, by ${pathOf(entryOf(owner))}: ${advice}`
      complaints.push({ keys, message, at: 'value' })
    }
  }
  return complaints
}

/** The keys of the entry of a list that `keys` lead into. */
function entryOf(keys: readonly Key[]): readonly Key[] {
  return keys.slice(0, keys.findLastIndex(key => typeof key === 'number') + 1)
}

function references({ map, keys }: Entry, devices: Entry[]): Complaint[] {
  if (map.poll !== undefined) return reference(map.poll, [...keys, 'poll'], devices)
  if (!isMap(map.set)) return []
  const { device } = map.set
  const at = [...keys, 'set', 'device']
  const target = devices.find(each => each.map.name === device)
  if (target === undefined || !isReadOnly(target.map)) return reference(device, at, devices)
  const message = `'${shorten(`${device}`)}' takes no commands: only a serial device, or a pin with direction: out or count, can be set`
  return [{ keys: at, message, at: 'value' }]
}

function isReadOnly(device: Record<string, unknown>): boolean {
  const isInput = isMap(device.gpio) && device.gpio.direction === 'in'
  return isInput || 'file' in device || 'system' in device
}

/** What is wrong with a device's name where another entry uses it. */
function reference(name: unknown, keys: readonly Key[], devices: Entry[]): Complaint[] {
  const names = devices.map(({ map }) => map.name)
  // A name that could not be read may be the one that is looked for.
  if (typeof name !== 'string' || name === '' || names.some(each => typeof each !== 'string')) return []
  const sharing = devices.filter(({ map }) => map.name === name)
  if (sharing.length === 1) return []
  const shown = `'${shorten(name)}'`
  if (sharing.length > 1) {
    const places = sharing.map(each => pathOf(each.keys)).join(' and ')
    return [{ keys, message: `${shown} is the name of ${places}: give them different names`, at: 'value' }]
  }
  const likely = likelySpelling(name, names as string[])
  const hint = likely === undefined ? overview(names as string[]) : `did you mean '${shorten(likely)}'?`
  return [{ keys, message: `no device is called ${shown}; ${hint}`, at: 'value', wide: true }]
}

/** Names that a message lists; more are a page, not a sentence. */
const MAX_LISTED = 10

function overview(names: string[]): string {
  if (names.length === 0) return 'there are no devices'
  return names.length > MAX_LISTED ? `there are ${names.length} others` : `there is ${either(names.map(shorten))}`
}
