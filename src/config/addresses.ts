/**
 * Addresses as URLs: `mqtt://127.0.0.1:1883`, `ws://[::1]:8083/mqtt`. Read here rather than by `URL`, so
 * that each thing that can be wrong has its own sentence.
 */
import { isIPv6 } from 'node:net'
import { shorten } from './fault.ts'
import { either, found, Refusal, type Schema, value } from './values.ts'

/** Ports that are taken when none is given: those that IANA and custom have given to the protocols. */
const DEFAULT_PORTS = { mqtt: 1883, ws: 8083 } as const

/** What is planned and cannot be done yet. */
const NOT_YET = ['mqtts', 'wss', 'unix']

const PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#\s]*)(\/[^?#\s]*)?$/
const HOST_AND_PORT = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d+))?$/

export type Protocol = keyof typeof DEFAULT_PORTS

export interface Address {
  protocol: Protocol
  /** An IPv6 address without its brackets. */
  host: string
  port: number
  /** Begins with `/`; only of `ws`. */
  path?: string
}

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
  const result = readAddress(text, { protocols: ['mqtt', 'ws'], minPort: 0, example: '' })
  return result instanceof Refusal ? undefined : result
}

/** `mqtt://host:port` of an address, without its path. */
export function formatAddress({ protocol, host, port }: Address): string {
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function readAddress(text: string, options: Parameters<typeof address>[0]): Address | Refusal {
  const { protocols, minPort, example } = options
  const [, scheme, authority, path] = PARTS.exec(text) ?? []
  if (scheme === undefined || authority === undefined) {
    return new Refusal(`must be an address, such as ${example}; found ${found(text)}`)
  }
  const protocol = protocols.find(each => each === scheme.toLowerCase())
  if (protocol === undefined) {
    const known = either(protocols.map(each => `${each}://`))
    const yet = NOT_YET.includes(scheme.toLowerCase()) || scheme.toLowerCase() in DEFAULT_PORTS
    return new Refusal(`${scheme}:// ${yet ? 'is not there yet' : 'is not known'}; use ${known}`)
  }
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
  if (protocol !== 'ws' && path !== undefined && path !== '/') {
    return new Refusal(`an ${protocol}:// address has no path; leave out '${shorten(path)}'`)
  }
  return protocol === 'ws' && path !== undefined ? { protocol, host, port, path } : { protocol, host, port }
}
