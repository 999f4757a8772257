/** What flags say about where to: topics, ports, URLs of servers and of proxies. Each returns what is wrong, as Mosquitto says it. */
import { subscriptionFault, topicNameFault } from '../../mqtt/topics.ts'
import type { Draft, Program } from './settings.ts'

/** Largest port: two bytes. */
const MAX_PORT = 0xffff
const PLAIN_PORT = 1883
const TLS_PORT = 8883
/** Of SOCKS (RFC 1928). */
const PROXY_PORT = 1080

const SCHEMES: Readonly<Record<string, { isTls: boolean; isWebSocket: boolean }>> = {
  'mqtt://': { isTls: false, isWebSocket: false },
  'mqtts://': { isTls: true, isWebSocket: false },
  'ws://': { isTls: false, isWebSocket: true },
  'wss://': { isTls: true, isWebSocket: true },
}

/** An empty topic name is let through: it may be that a topic alias stands for it. */
export function hasWildcard(topic: string): boolean {
  return topic !== '' && topicNameFault(topic, Number.POSITIVE_INFINITY) !== undefined
}

export function takeTopic(draft: Draft, topic: string, program: Program): string | undefined {
  if (program !== 'sub') {
    if (hasWildcard(topic)) return `Error: Invalid publish topic '${topic}', does it contain '+' or '#'?\n`
    draft.topics = [topic]
  } else {
    if (subscriptionFault(topic, Number.POSITIVE_INFINITY) !== undefined)
      return `Error: Invalid subscription topic '${topic}', are all '+' and '#' wildcards correct?\n`
    draft.topics.push(topic)
  }
  return undefined
}

export function takeResponseTopic(draft: Draft, topic: string): string | undefined {
  if (hasWildcard(topic)) return `Error: Invalid response topic '${topic}', does it contain '+' or '#'?\n`
  draft.responseTopic = topic
  return undefined
}

export function takePort(draft: Draft, value: string): string | undefined {
  const port = Number.parseInt(value, 10) || 0
  // Mosquitto takes 0 for the path of a socket.
  if (port < 1 || port > MAX_PORT) return `Error: Invalid port given: ${port}\n`
  draft.port = port
  return undefined
}

/** Nothing in it is decoded: a password may have any character but `@`, and a topic is what stands behind the first slash. */
export function takeUrl(draft: Draft, url: string, program: Program): string | undefined {
  const scheme = /^(mqtts?|wss?):\/\//i.exec(url)?.[0].toLowerCase()
  const kind = scheme === undefined ? undefined : SCHEMES[scheme]
  if (scheme === undefined || kind === undefined) return 'Error: unsupported URL scheme.\n\n'
  const rest = url.slice(scheme.length)
  const slash = rest.indexOf('/')
  if (slash < 0) return 'Error: Invalid URL for -L argument specified - topic missing.\n'
  const fault = takeTopic(draft, rest.slice(slash + 1), program)
  if (fault !== undefined) return fault
  const [, username, password, host = '', port] =
    /^(?:([^:@]*)(?::([^@]*))?@)?(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(rest.slice(0, slash)) ?? []
  if (username !== undefined) draft.username = username
  if (password !== undefined) draft.password = password
  draft.host = host.replace(/^\[(.*)\]$/, '$1')
  if (kind.isTls) draft.tls.useSystemCertificates = true
  if (kind.isWebSocket) draft.webSocket = true
  draft.port = kind.isTls ? TLS_PORT : PLAIN_PORT
  return port === undefined ? undefined : takePort(draft, port)
}

/** `socks5h://[USER[:PASSWORD]@]HOST[:PORT]`: the proxy looks the name up. */
export function takeProxy(draft: Draft, url: string): string | undefined {
  if (!/^socks5h:\/\//i.test(url)) return `Error: Unsupported proxy protocol: ${url}\n`
  let parsed: URL
  try {
    parsed = new URL(url.replace(/^socks5h/i, 'http'))
  } catch {
    return 'Error: Invalid proxy.\n\n'
  }
  const { hostname, port, username, password } = parsed
  draft.proxy = {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    // `URL` leaves out the port that HTTP has.
    port: /:80\/?$/.test(url) ? 80 : Number(port || PROXY_PORT),
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
  }
  return undefined
}
