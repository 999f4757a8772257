/**
 * Addresses as URLs: `mqtt://127.0.0.1:1883`, `ws://[::1]:8083/mqtt`. Read here rather than by `URL`, so
 * that each thing that can be wrong has its own sentence.
 */
import { isIPv6 } from 'node:net'
import { shorten } from './fault.ts'
import { either, found, Refusal, type Schema, value } from './values.ts'

/** Ports that are taken when none is given: those that IANA and custom have given to the protocols. */
const DEFAULT_PORTS = { mqtt: 1883, mqtts: 8883, ws: 8083, wss: 8084 } as const

const PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#\s]*)(\/[^?#\s]*)?$/
const HOST_AND_PORT = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d+))?$/

const UNIX = /^unix:\/\/(.*)$/

export type Protocol = keyof typeof DEFAULT_PORTS | 'unix'

export interface Address {
  protocol: Protocol
  /** An IPv6 address without its brackets; of `unix`, nothing. */
  host: string
  port: number
  /** Of `ws` and `wss`: begins with `/`. Of `unix`: the path of the socket. */
  path?: string
}

export const LISTENER_PROTOCOLS: readonly Protocol[] = ['mqtt', 'mqtts', 'ws', 'wss', 'unix']

/** A URL of one of `protocols`, its port at least `minPort`. */
export function address(options: { protocols: readonly Protocol[]; minPort: 0 | 1; example: string }): Schema<Address> {
  const { example } = options
  return value(example, input =>
    typeof input === 'string'
      ? readAddress(input, options)
      : new Refusal(`must be an address, such as ${example}; found ${found(input)}`),
  )
}

/** The address in `text`, or undefined when it is none. */
export function parseAddress(text: string): Address | undefined {
  const result = readAddress(text, { protocols: LISTENER_PROTOCOLS, minPort: 0, example: '' })
  return result instanceof Refusal ? undefined : result
}

/** True when other machines may reach it. */
export function isPublic({ protocol, host }: Pick<Address, 'protocol' | 'host'>): boolean {
  return protocol !== 'unix' && !/^(127\.|::1$|localhost$)/i.test(host)
}

/** `mqtt://host:port` of an address, without its path. */
export function formatAddress({ protocol, host, port, path }: Address): string {
  if (protocol === 'unix') return `unix://${path}`
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function readAddress(text: string, options: Parameters<typeof address>[0]): Address | Refusal {
  const { protocols, minPort, example } = options
  const socket = protocols.includes('unix') ? UNIX.exec(text)?.[1] : undefined
  if (socket !== undefined) return readSocket(socket)
  const [, scheme, authority, path] = PARTS.exec(text) ?? []
  if (scheme === undefined || authority === undefined) {
    return new Refusal(`must be an address, such as ${example}; found ${found(text)}`)
  }
  const protocol = protocols.find(each => each === scheme.toLowerCase())
  if (protocol === undefined) {
    const known = either(protocols.map(each => `${each}://`))
    const isElsewhere = scheme.toLowerCase() in DEFAULT_PORTS
    return new Refusal(`${scheme}:// ${isElsewhere ? 'cannot be used here' : 'is not known'}; use ${known}`)
  }
  if (protocol === 'unix') return readSocket('')
  if (authority.includes('@')) {
    return new Refusal('must not hold a user name and password: they have keys of their own, username and password')
  }
  const [, bracketed, name, digits] = HOST_AND_PORT.exec(authority) ?? []
  const host = bracketed ?? name
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
    return new Refusal(`'${shorten(authority)}' is not a host and a port; write it as in ${example}`)
  }
  const port = digits === undefined ? DEFAULT_PORTS[protocol] : Number(digits)
  if (port < minPort || port > 65_535)
    return new Refusal(`the port must be between ${minPort} and 65535; found ${shorten(`${digits}`)}`)
  const isWeb = protocol === 'ws' || protocol === 'wss'
  if (!isWeb && path !== undefined && path !== '/') {
    return new Refusal(`an ${protocol}:// address has no path; leave out '${shorten(path)}'`)
  }
  return isWeb && path !== undefined ? { protocol, host, port, path } : { protocol, host, port }
}

/** Bytes of a socket's path that every system takes. */
const MAX_SOCKET_PATH = 103

function readSocket(path: string): Address | Refusal {
  if (path === '') return new Refusal('needs the path of a socket, such as unix:///run/larder/mqtt.sock')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    return new Refusal(`the path of a socket must not be longer than ${MAX_SOCKET_PATH} bytes`)
  }
  return { protocol: 'unix', host: '', port: 0, path }
}
