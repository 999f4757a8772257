/**
 * What the owner says about the way to an upstream, and what an address of one is. The shape is the configuration's;
 * all but `url` may be left out.
 */

export interface ConnectionSettings {
  /** The first address: `mqtt://host:port`, or with `mqtts`, `ws`, `wss`; the latter two may have a path. */
  readonly url: string
  /** All addresses, the first included, in the order in which they are tried. */
  readonly urls?: readonly string[] | undefined
  /** Each connection begins with the address after the one that the last connection had. */
  readonly roundRobin?: boolean | undefined
  /** `auto`: MQTT 5, and 3.1.1 when that is refused. Absent, 3.1.1. */
  readonly version?: 'auto' | '5' | '3.1.1' | undefined
  /** Of `mqtts` and `wss`. */
  readonly tls?: UpstreamTls | undefined
  /** `http://user:password@host:port` of a proxy that knows CONNECT. */
  readonly proxy?: string | undefined
  /** ms for the name, TCP, proxy and TLS of one address, and as long again for its CONNACK. */
  readonly connectTimeout?: number | undefined
  /** When it connects; absent, as `automatic`. */
  readonly startType?: 'automatic' | 'lazy' | 'once' | undefined
  /** `lazy`: messages that must wait before it connects. */
  readonly threshold?: number | undefined
  /** `lazy`: ms without a message either way, after which it disconnects. */
  readonly idleTimeout?: number | undefined
  /** `lazy`: ms that a message may wait for others. */
  readonly maxWait?: number | undefined
  /** Address of this machine that connections begin at; absent, the system chooses. */
  readonly bindAddress?: string | undefined
  /** ms of silence before TCP asks whether the other end is there. */
  readonly tcpKeepalive?: number | undefined
  /** Whether the upstream is told that a bridge comes: MQTT 5, a user property; 3.1.1, Mosquitto's bit, and absent, when there is something to fetch. */
  readonly tryPrivate?: boolean | undefined
  /** The upstream keeps nothing for us while we are away. */
  readonly cleanSession?: boolean | undefined
  /** False: the upstream is not asked to drop subscriptions that rules of before may have left. */
  readonly unsubscribe?: boolean | undefined
  /** MQTT 5: ms that the upstream is to keep our session; absent, for ever. */
  readonly sessionExpiry?: number | undefined
  /** MQTT 5: QoS > 0 that the upstream may have under way to us. */
  readonly receiveMaximum?: number | undefined
  /** MQTT 5: topic aliases, for each direction. */
  readonly maxTopicAlias?: number | undefined
  /** Bytes of the largest packet that is sent, where the upstream allows it. */
  readonly maxPacketSize?: number | undefined
  readonly maxQos?: 0 | 1 | 2 | undefined
  /** False: nothing is sent with RETAIN. */
  readonly outgoingRetain?: boolean | undefined
}

/** Files are PEM, paths absolute. They are read for each connection, so what was renewed counts from the next one on. */
export interface UpstreamTls {
  /** Of those who sign the upstream's certificate; without any of the three, the authorities that Node brings. */
  readonly ca?: string | undefined
  /** A folder of such files, each named `*.crt`, `*.pem`, or as `openssl rehash` does. */
  readonly caFolder?: string | undefined
  /** The authorities that this machine's system trusts. */
  readonly systemAuthorities?: boolean | undefined
  /** The bridge's own certificate with its chain, and the key to it. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly alpn?: readonly string[] | undefined
  /** The name in the upstream's certificate, and what is asked for by SNI; absent, the address's. */
  readonly serverName?: string | undefined
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** OpenSSL's names with colons between; those of TLS 1.3 begin with `TLS_`. */
  readonly ciphers?: string | undefined
  /** False: the certificate must be signed by a known authority, but may be for another name. */
  readonly checkName?: boolean | undefined
  readonly pskIdentity?: string | undefined
  /** Hexadecimal. */
  readonly pskKey?: string | undefined
}

/** What a connection leaves for the next one. */
export interface LinkMemory {
  /** Set when the upstream takes nothing newer. */
  version?: 4
  /** The upstream knows nothing of `tryPrivate`. */
  isPlain?: boolean
  /** Index of the address that the last connection had. */
  address?: number
  /** The session that the upstream keeps has our subscriptions: it has answered all of them since the start. */
  isSubscribed?: boolean
  /** What the upstream has retained when that was so is still to be fetched. */
  owesRetained?: boolean
}

export interface UpstreamAddress {
  readonly protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss'
  /** A name or an address, an IPv6 address without its brackets. */
  readonly host: string
  readonly port: number
  /** Of a WebSocket; begins with `/`. */
  readonly path: string
  /** `host:port` as a person writes it. */
  readonly place: string
}

const DEFAULT_PORTS = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 } as const

export function addressOf(url: string): UpstreamAddress {
  // `URL` drops the port that HTTP has for a scheme, and knows `ws` and `wss`.
  const { protocol: scheme, hostname, port, pathname } = new URL(url)
  const protocol = scheme.slice(0, -1) as UpstreamAddress['protocol']
  const number = port === '' ? DEFAULT_PORTS[protocol] : Number(port)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return { protocol, host, port: number, path: pathname || '/', place: `${hostname}:${number}` }
}

/** The addresses of a bridge in the order in which the next connection tries them. */
export function addressesOf(settings: ConnectionSettings, memory: LinkMemory): UpstreamAddress[] {
  const all = (settings.urls ?? [settings.url]).map(addressOf)
  if (settings.roundRobin !== true || memory.address === undefined) return all
  const first = (memory.address + 1) % all.length
  return [...all.slice(first), ...all.slice(0, first)]
}
