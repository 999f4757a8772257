/**
 * From an address to a stream that MQTT can be spoken on: name, TCP, perhaps a proxy, perhaps TLS. MQTT.js could do most
 * of it, but not a proxy, and it gives no time to any of it.
 */
import { request } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { ConnectionSettings, UpstreamAddress } from './connection.ts'
import { lookupUntil } from './names.ts'
import { tlsOptionsOf, type UpstreamTlsOptions } from './tls.ts'

/** Milliseconds for one of several addresses of a name before the next is tried too. Node's 250 ms fail every one on a slow link. */
const NEXT_ADDRESS_DELAY = 5_000
/** Milliseconds of silence before TCP asks whether the other end is there. */
const TCP_KEEPALIVE = 60_000
const HTTP_OK = 200

/** Undefined when the address says nothing of TLS. Rejects as `tlsOptionsOf`. */
export async function readTls(
  address: UpstreamAddress,
  settings: ConnectionSettings,
): Promise<UpstreamTlsOptions | undefined> {
  const isSecure = address.protocol === 'mqtts' || address.protocol === 'wss'
  return isSecure ? await tlsOptionsOf(settings.tls ?? {}, address) : undefined
}

/**
 * A connected socket, with TLS if that was read. Rejects with what the system or TLS says, or with the reason of
 * `signal`; then nothing is left open.
 */
export async function dial(
  address: UpstreamAddress,
  settings: ConnectionSettings,
  { tls, signal }: { tls: UpstreamTlsOptions | undefined; signal: AbortSignal },
): Promise<Socket> {
  signal.throwIfAborted()
  const { proxy, bindAddress, tcpKeepalive = TCP_KEEPALIVE } = settings
  const local = bindAddress === undefined ? {} : { localAddress: bindAddress }
  const plain =
    proxy === undefined
      ? await open({ host: address.host, port: address.port, ...local }, signal)
      : await throughProxy(new URL(proxy), address, { signal, local })
  plain.setKeepAlive(true, tcpKeepalive)
  return tls === undefined ? plain : await secure(plain, tls.options, signal)
}

type Local = { localAddress?: string }

async function open(target: { host: string; port: number } & Local, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({
    ...target,
    noDelay: true,
    lookup: lookupUntil(signal),
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_DELAY,
  })
  await ready(socket, 'connect', signal)
  return socket
}

async function secure(socket: Socket, options: ConnectionOptions, signal: AbortSignal): Promise<Socket> {
  const stream = connectTls({ ...options, socket })
  try {
    await ready(stream, 'secureConnect', signal)
  } catch (error) {
    socket.destroy()
    throw error
  }
  return stream
}

/** Resolves at `event`. Else destroys `socket` and rejects. */
function ready(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // Node may say a second thing about the same socket, and nobody listens until MQTT has it.
    socket.on('error', () => {})
    const end = () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError).off('close', onClose).off(event, onReady)
    }
    const onReady = () => {
      end()
      resolve()
    }
    const onError = (error: unknown) => {
      end()
      socket.destroy()
      reject(error)
    }
    const onClose = () => onError(undefined)
    const onAbort = () => onError(signal.reason)
    socket.on('error', onError).on('close', onClose).on(event, onReady)
    signal.addEventListener('abort', onAbort)
  })
}

/** RFC 9110 §9.3.6. */
function throughProxy(
  proxy: URL,
  { host, port }: UpstreamAddress,
  { signal, local }: { signal: AbortSignal; local: Local },
): Promise<Socket> {
  const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
  const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  return new Promise((resolve, reject) => {
    const asking = request({
      method: 'CONNECT',
      host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: proxy.port === '' ? 80 : Number(proxy.port),
      path: target,
      agent: false,
      ...local,
      lookup: lookupUntil(signal),
      headers: {
        host: target,
        ...(login === ':' ? {} : { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` }),
      },
    })
    const onAbort = () => asking.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort)
    const failed = (reason: string) => new ProxyError(`the proxy ${proxy.host} ${reason}`)
    asking.once('connect', (response, socket: Socket, head) => {
      signal.removeEventListener('abort', onAbort)
      if (response.statusCode === HTTP_OK) {
        socket.on('error', () => {})
        if (head.length > 0) socket.unshift(head)
        resolve(socket)
        return
      }
      socket.destroy()
      const isLogin = response.statusCode === 407
      reject(failed(isLogin ? 'wants another user name and password' : `answers ${response.statusCode} for ${target}`))
    })
    asking.once('response', response => {
      asking.destroy()
      reject(failed(`answers ${response.statusCode} for ${target}`))
    })
    asking.on('error', error => {
      signal.removeEventListener('abort', onAbort)
      reject(signal.aborted ? signal.reason : failed(`cannot be used: ${error.message || 'it does not answer'}`))
    })
    asking.end()
  })
}

/** The proxy's fault, not the upstream's. */
export class ProxyError extends Error {}
