/**
 * MQTT over WebSocket (MQTT 3.1.1 §6), with or without TLS. An HTTP server that does nothing but upgrade: another path is
 * answered 404, a page of an origin that is not let in 403, a client that does not offer an MQTT subprotocol 400, a
 * plain request 426, a request that does not end 408. It never listens itself: it is given the connections that came
 * through the entrance.
 */
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Server as SocketServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { type Arrival, Entrance } from './entrance.ts'
import { urlOf } from './fault.ts'
import type { ConnectionHandler, Listener, ListenerTls } from './ports.ts'
import type { ServerDependencies } from './server.ts'
import { WebSocketStream } from './ws-stream.ts'

/** Subprotocols in our order of preference: [MQTT-6.0.0-4], and the name that MQTT 3.1 clients use. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']
/** Bytes that one WebSocket message may hold even when a single packet may not: clients batch small packets. */
const MIN_MESSAGE_BYTES = 1024 * 1024
/** Bytes of small packets that may share a message with one of the largest. */
const MESSAGE_ROOM = 64 * 1024
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
  readonly #entrance: Entrance
  /** Who is on a connection that is not upgraded yet. */
  readonly #arrivals = new WeakMap<Duplex, Arrival>()

  constructor(deps: WebSocketListenerDependencies) {
    this.name = `listener ${urlOf(deps.settings, deps.settings.port)}`
    this.#deps = deps
    this.#entrance = new Entrance(deps)
  }

  /** Rejects with a `LarderError` LISTEN_IN_USE, LISTEN_DENIED, LISTEN_FAILED or CERTIFICATE_INVALID. */
  async start(signal: AbortSignal): Promise<void> {
    const http = this.#createServer()
    await this.#entrance.open(arrival => {
      const { stream, stay } = arrival
      this.#arrivals.set(stream, arrival)
      stay.onLate = () => refuse(stream, 408, 'The request did not end in time.')
      http.emit('connection', stream)
    }, signal)
  }

  prepare(): Promise<void> {
    return this.#entrance.prepare()
  }

  get isOpen(): boolean {
    return this.#entrance.isOpen
  }

  get connections(): number {
    return this.#entrance.connections
  }

  handOver(): SocketServer | undefined {
    return this.#entrance.handOver()
  }

  get tls(): ListenerTls | undefined {
    return this.#entrance.tls
  }

  address(): string {
    return this.#entrance.address
  }

  stopAccepting(): void {
    this.#entrance.stopAccepting()
  }

  async stop(): Promise<void> {
    await this.#entrance.close()
  }

  #createServer(): Server {
    const sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: Math.max(this.#deps.maxPacketSize, MIN_MESSAGE_BYTES) + MESSAGE_ROOM,
      ...CLOSE_TIMEOUT,
      handleProtocols: offered => SUBPROTOCOLS.find(name => offered.has(name)) ?? false,
    })
    const http = createServer({ maxHeaderSize: MAX_HEADER_BYTES })
    http.on('request', (request, response) => {
      if (this.#answersPath(request)) {
        response.writeHead(426, { Connection: 'Upgrade, close', Upgrade: 'websocket', 'Content-Type': 'text/plain' })
        response.end('This is an MQTT broker: connect with a WebSocket.\n')
      } else {
        response.writeHead(404, { Connection: 'close', 'Content-Type': 'text/plain' })
        response.end(`${NOTHING_HERE}\n`)
      }
    })
    http.on('upgrade', (request, stream, head) => {
      const arrival = this.#arrivals.get(stream)
      if (arrival === undefined) return stream.destroy()
      if (!this.#answersPath(request)) return refuse(stream, 404, NOTHING_HERE)
      if (!this.#letsIn(request)) return refuse(stream, 403, 'Pages of this origin are not let in.')
      if (!offersMqtt(request)) return refuse(stream, 400, 'Offer the WebSocket subprotocol "mqtt".') // [MQTT-6.0.0-3]
      sockets.handleUpgrade(request, stream, head, ws => {
        const { details, stay } = arrival
        stay.arrive()
        const webSocket = new WebSocketStream(ws, stream)
        webSocket.on('error', () => {})
        this.#deps.onConnection(webSocket, details)
      })
    })
    return http
  }

  #answersPath(request: IncomingMessage): boolean {
    const { path } = this.#deps.settings
    return path === undefined || path === request.url?.split('?', 1)[0]
  }

  /** A browser always sends where its page comes from; who is no browser sends none, and could send any. */
  #letsIn(request: IncomingMessage): boolean {
    const { origins } = this.#deps.settings
    const { origin } = request.headers
    return origins === undefined || origin === undefined || origins.includes(origin)
  }
}

function offersMqtt(request: IncomingMessage): boolean {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  return SUBPROTOCOLS.some(name => offered.includes(name))
}

function refuse(stream: Duplex, status: 400 | 403 | 404 | 408, reason: string): void {
  const body = `${reason}\n`
  stream.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    // An HTTP server's sockets stay half open for ever if the peer likes.
    () => stream.destroy(),
  )
}
