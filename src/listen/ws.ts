/**
 * MQTT over WebSocket (MQTT 3.1.1 §6). An HTTP server that does nothing but upgrade: another path is
 * answered 404, a client that does not offer an MQTT subprotocol 400, a plain request 426.
 */
import { createServer, type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { ConnectionHandler, Listener } from './ports.ts'
import { peerOf, type ServerDependencies, SOCKET_OPTIONS, SocketServer } from './server.ts'
import { WebSocketStream } from './ws-stream.ts'

/** Subprotocols in our order of preference: [MQTT-6.0.0-4], and the name that MQTT 3.1 clients use. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']
/** Bytes that one WebSocket message may hold even when a single packet may not: clients batch small packets. */
const MIN_MESSAGE_BYTES = 1024 * 1024
/** Bytes of small packets that may share a message with one of the largest. */
const MESSAGE_ROOM = 64 * 1024
/** Milliseconds for a complete upgrade request; after the upgrade the session has its own limit. */
const REQUEST_TIMEOUT = 10_000
/** Milliseconds between two looks for requests that are overdue. */
const REQUEST_CHECK_INTERVAL = 1_000
/** Milliseconds for the closing handshake (RFC 6455 §7.1.1) before the socket is destroyed. An object, because the types of `ws` do not have it yet. */
const CLOSE_TIMEOUT = { closeTimeout: 2_000 }
/** Bytes of an upgrade request's head. Node's own default, named because it is our limit on strangers. */
const MAX_HEADER_BYTES = 16 * 1024

const NOTHING_HERE = 'There is nothing at this path.'

export interface WebSocketListenerDependencies extends ServerDependencies {
  readonly onConnection: ConnectionHandler
  /** Largest MQTT packet in bytes (`limits.max_packet_size`). */
  readonly maxPacketSize: number
}

export class WebSocketListener implements Listener {
  readonly name: string
  readonly #deps: WebSocketListenerDependencies
  readonly #server: SocketServer

  constructor(deps: WebSocketListenerDependencies) {
    this.name = `listener ${deps.settings.protocol}://${deps.settings.host}:${deps.settings.port}`
    this.#deps = deps
    this.#server = new SocketServer(deps)
  }

  /** Rejects with a `LarderError` LISTEN_IN_USE, LISTEN_DENIED or LISTEN_FAILED. */
  async start(signal: AbortSignal): Promise<void> {
    const sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: Math.max(this.#deps.maxPacketSize, MIN_MESSAGE_BYTES) + MESSAGE_ROOM,
      ...CLOSE_TIMEOUT,
      handleProtocols: offered => SUBPROTOCOLS.find(name => offered.has(name)) ?? false,
    })
    const http = createServer({
      ...SOCKET_OPTIONS,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      connectionsCheckingInterval: REQUEST_CHECK_INTERVAL,
    })
    http.on('request', (request, response) => {
      if (this.#answersPath(request)) {
        response.writeHead(426, { Connection: 'Upgrade, close', Upgrade: 'websocket', 'Content-Type': 'text/plain' })
        response.end('This is an MQTT broker: connect with a WebSocket.\n')
      } else {
        response.writeHead(404, { Connection: 'close', 'Content-Type': 'text/plain' })
        response.end(`${NOTHING_HERE}\n`)
      }
    })
    http.on('upgrade', (request, socket: Socket, head) => {
      if (!this.#answersPath(request)) return refuse(socket, 404, NOTHING_HERE)
      if (!offersMqtt(request)) return refuse(socket, 400, 'Offer the WebSocket subprotocol "mqtt".') // [MQTT-6.0.0-3]
      const peer = peerOf(socket)
      if (peer === undefined) return
      sockets.handleUpgrade(request, socket, head, ws => {
        const stream = new WebSocketStream(ws)
        stream.on('error', () => {})
        this.#deps.onConnection(stream, { protocol: 'ws', listener: this.address(), ...peer })
      })
    })
    await this.#server.open(http, signal)
  }

  address(): string {
    return this.#server.address
  }

  stopAccepting(): void {
    this.#server.stopAccepting()
  }

  async stop(): Promise<void> {
    await this.#server.close()
  }

  #answersPath(request: IncomingMessage): boolean {
    const { path } = this.#deps.settings
    return path === undefined || path === request.url?.split('?', 1)[0]
  }
}

function offersMqtt(request: IncomingMessage): boolean {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  return SUBPROTOCOLS.some(name => offered.includes(name))
}

function refuse(socket: Duplex, status: 400 | 404, reason: string): void {
  const body = `${reason}\n`
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    // An HTTP server's sockets stay half open for ever if the peer likes.
    () => socket.destroy(),
  )
}
