/** From the listeners that mosquitto.conf draws up to the entries of `listeners` in larder.yaml. */
import type { Draft, ListenerDraft, Notice } from './draft.ts'
import { type Place, Section } from './section.ts'
import { ConfFault } from './values.ts'

/** What translating must know of the machine. */
export interface Machine {
  readonly hostname: string
  readonly hasIPv6: boolean
  /** Addresses of a network interface; undefined when there is no such interface. */
  addressesOf(networkInterface: string): readonly string[] | undefined
}

/** Ports of the command line. */
export interface Ports {
  readonly numbers: readonly number[]
  /** Beside listeners of the file they are ignored, as with mosquitto -p, or added. */
  readonly beside: 'ignored' | 'added'
}

const DEFAULT_PORT = 1883

export interface Finished {
  readonly entries: Section[]
  readonly isLocalOnly: boolean
  readonly notices: Notice[]
  readonly faults: { place: Place | undefined; message: string }[]
}

export function finishListeners(draft: Draft, machine: Machine, ports: Ports): Finished {
  const finished: Finished = { entries: [], isLocalOnly: isLocalOnly(draft), notices: [], faults: [] }
  if (finished.isLocalOnly) {
    const numbers = ports.numbers.length === 0 ? [DEFAULT_PORT] : ports.numbers
    finished.entries.push(...numbers.flatMap(port => localEntries(port, machine)))
    return finished
  }
  const all = [...draft.listeners]
  if (draft.defaultListenerPlace !== undefined) {
    const [port] = draft.listeners.length === 0 ? ports.numbers : []
    if (!draft.defaultListener.keys.has('port') && port !== undefined) draft.defaultListener.port = port
    draft.defaultListener.keys.delete('port')
    all.unshift(draft.defaultListener)
  }
  for (const listener of all) {
    const place = listener.place ?? draft.defaultListenerPlace
    try {
      const entry = entryOf(listener, draft, finished.notices, place)
      for (const url of urlsOf(listener, machine, entry.scheme, finished.notices)) {
        const section = new Section()
        section.set('url', url, place)
        finished.entries.push(Section.merged(section, entry.keys))
      }
    } catch (error) {
      if (!(error instanceof ConfFault)) throw error
      finished.faults.push({ place: (error.cause as Place | undefined) ?? place, message: error.message })
    }
  }
  if (ports.beside === 'added') {
    const more = ports.numbers.filter(port => all.every(listener => listener.port !== port))
    finished.entries.push(...more.flatMap(port => localEntries(port, machine)))
  }
  return finished
}

/** Mosquitto 2 lets only this machine in until a listener is configured. */
export function isLocalOnly(draft: Draft): boolean {
  return draft.listeners.length === 0 && draft.defaultListenerPlace === undefined
}

function localEntries(port: number, machine: Machine): Section[] {
  return localHosts(machine).map(host => {
    const section = new Section()
    section.set('url', `mqtt://${bracketed(host)}:${port}`)
    return section
  })
}

function localHosts({ hasIPv6 }: Machine): string[] {
  return hasIPv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']
}

type Scheme = 'mqtt' | 'mqtts' | 'ws' | 'wss'

function entryOf(
  listener: ListenerDraft,
  draft: Draft,
  notices: Notice[],
  place: Place | undefined,
): { scheme: Scheme; keys: Section } {
  const isWeb = listener.protocol === 'websockets'
  const keys = Section.merged(listener.keys)
  const ownAccess = listener.access
  const access = draft.perListener ? ownAccess : Section.merged(draft.access, ownAccess)
  const tls = tlsOf(listener, access.placeAt('psk_file'), access, notices)
  const scheme: Scheme = isWeb ? (tls === undefined ? 'ws' : 'wss') : tls === undefined ? 'mqtt' : 'mqtts'
  if (tls !== undefined) keys.set('tls', tls, tls.placeAt('cert') ?? tls.placeAt('psk_hint'))
  const origins = keys.placeAt('origins')
  if (!isWeb && origins !== undefined) {
    keys.delete('origins')
    notices.push({ place: origins, message: 'is not used: this is no WebSocket listener' })
  }
  const from = listener.identityAsUsername ?? listener.subjectAsUsername
  if (from !== undefined) {
    if (tls === undefined)
      notices.push({ place: from, message: 'is not used: without TLS a client has no certificate' })
    else keys.set('username_from', from === listener.identityAsUsername ? 'common_name' : 'subject', from)
  }
  if (draft.perListener || !ownAccess.isEmpty) {
    const rules = Section.merged(access)
    finishAccess(rules, false)
    keys.set('access', rules, place)
  }
  return { scheme, keys }
}

/** Fills in what Mosquitto takes when nothing is said. */
export function finishAccess(access: Section, isAnonymous: boolean): void {
  access.delete('psk_file')
  access.setDefault('allow_anonymous', isAnonymous)
  access.setDefault('auto_id_prefix', 'auto-')
  if (access.has('acl_file')) access.setDefault('grant_every_subscription', true)
}

/** Undefined: the listener has no TLS. */
function tlsOf(
  listener: ListenerDraft,
  pskPlace: Place | undefined,
  access: Section,
  notices: Notice[],
): Section | undefined {
  const tls = Section.merged(listener.tls)
  const hint = tls.placeAt('psk_hint')
  const isSecure = tls.has('cert') && tls.has('key')
  if (listener.socket !== undefined && (isSecure || hint !== undefined)) {
    throw new ConfFault('A listener on a Unix socket cannot have TLS here.')
  }
  if (hint !== undefined) {
    const file = access.get('psk_file')
    if (file === undefined) throw new ConfFault('psk_hint needs a psk_file.', { cause: hint })
    tls.set('psk_file', file, pskPlace)
  } else if (!isSecure) {
    const [used] = tls
    if (used !== undefined) {
      const message = 'is not used: TLS needs certfile and keyfile, or psk_hint, so this listener is not encrypted'
      notices.push({ place: used[1].place as Place, message })
    }
    return undefined
  }
  const crl = tls.placeAt('crl')
  if (crl !== undefined && !tls.has('ca') && !tls.has('ca_folder')) {
    tls.delete('crl')
    notices.push({
      place: crl,
      message: 'is not used: there is no cafile or capath whose certificates it could revoke',
    })
  }
  return tls
}

function urlsOf(listener: ListenerDraft, machine: Machine, scheme: Scheme, notices: Notice[]): string[] {
  if (listener.protocol === 'http_api') return []
  if (listener.socket !== undefined) {
    if (listener.protocol === 'websockets') throw new ConfFault('A WebSocket listener cannot have a Unix socket here.')
    return [`unix://${listener.socket}`]
  }
  const hosts = hostsOf(listener, machine)
  if (hosts.includes('::') && listener.domain === 'ipv6' && listener.place !== undefined) {
    notices.push({ place: listener.place, message: 'takes IPv4 as well: an IPv6 socket cannot be kept to IPv6 here' })
  }
  return hosts.map(host => `${scheme}://${bracketed(host)}:${listener.port}`)
}

function hostsOf({ host, domain, networkInterface }: ListenerDraft, machine: Machine): string[] {
  const isWanted = (address: string) => domain === undefined || (domain === 'ipv6') === address.includes(':')
  if (networkInterface !== undefined) {
    const { name, place } = networkInterface
    const addresses = (machine.addressesOf(name) ?? []).filter(isWanted)
    if (addresses.length === 0) throw new ConfFault(`Interface ${name} has no address to listen on.`, { cause: place })
    return addresses
  }
  if (host === 'localhost') return localHosts(machine).filter(isWanted)
  if (host !== undefined) return [host]
  if (domain === 'ipv6') return ['::']
  return [machine.hasIPv6 && domain !== 'ipv4' ? '::' : '0.0.0.0']
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
