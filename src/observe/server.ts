/**
 * The small HTTP listener for machines that look after machines: `/metrics` for Prometheus, and `/healthz`, which says
 * 503 and why when the gateway is up but does not do its work. Read only. Where there are users, a supervisor without a
 * password is told whether the gateway is well, and not why it is not.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { reasonOf } from '../kernel/errors.ts'
import { closeHttp, type HttpAddress, openHttp, urlOfHttp } from '../kernel/http-server.ts'
import type { Log } from '../kernel/log.ts'
import { Exposition } from './exposition.ts'
import type { Guard } from './guard.ts'
import type { Figures, HttpPlace } from './ports.ts'

/** Connections at once: a Prometheus or two, a supervisor, a person. */
const MAX_CONNECTIONS = 16
/** Milliseconds in which a request must have come. */
const REQUEST_TIMEOUT = 5_000
/** Bytes of a request's head. */
const MAX_HEAD = 8 * 1024

export interface ServerDependencies {
  place: HttpPlace
  look: () => Figures
  guard: Guard
  log: Log
}

export class MetricsServer {
  readonly #address: HttpAddress
  readonly #look: () => Figures
  readonly #log: Log
  readonly #server: Server
  readonly #exposition = new Exposition()
  /** Who may read; a reload puts another in its place. */
  guard: Guard

  constructor(deps: ServerDependencies) {
    this.#address = { scheme: 'http', ...deps.place }
    this.#look = deps.look
    this.#log = deps.log
    this.guard = deps.guard
    const limits = { requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT, maxHeaderSize: MAX_HEAD }
    this.#server = createServer({ ...limits, connectionsCheckingInterval: REQUEST_TIMEOUT }, (request, response) => {
      this.#answer(request, response).catch(error => {
        this.#log.warn({ reason: reasonOf(error) }, 'a question for metrics was not answered')
        if (!response.headersSent) send(response, 503, 'Not now.\n')
      })
    })
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** Rejects with a LarderError LISTEN_* when its address cannot be used. */
  async start(): Promise<void> {
    await openHttp(this.#server, this.#address, {
      hint: 'Give another address as metrics.listen, or leave it out.',
      onFault: error => this.#log.error({ reason: reasonOf(error) }, 'metrics fault'),
    })
    this.#log.info({ metrics: `${this.address()}/metrics` }, 'metrics for Prometheus')
  }

  /** URL with the real port. Only after `start`. */
  address(): string {
    return urlOfHttp(this.#server, this.#address)
  }

  async stop(): Promise<void> {
    await closeHttp(this.#server)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = ''] = (request.url ?? '').split('?')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      send(response, 405, 'Only GET and HEAD are answered here.\n')
      return
    }
    if (path !== '/metrics' && path !== '/healthz') {
      send(response, 404, 'There are /metrics and /healthz here.\n')
      return
    }
    const { authorization } = request.headers
    const isHealth = path === '/healthz'
    // Who says nothing is not asked in vain: a supervisor has no password.
    const isKnown = (isHealth && authorization === undefined) || (await this.#admits(authorization, request))
    if (!isKnown) {
      response.setHeader('WWW-Authenticate', this.guard.challenges)
      send(response, 401, 'Who are you? A user of metrics.password_file may read this, or whoever has its token.\n')
    } else if (!isHealth) send(response, 200, await this.#exposition.text(this.#look()), this.#exposition.contentType)
    else {
      const { troubles } = this.#look()
      const isOpen = authorization !== undefined || this.guard.challenges.length === 0
      if (troubles.length === 0) send(response, 200, 'ok\n')
      else send(response, 503, `${isOpen ? troubles.join('\n') : 'not well'}\n`)
    }
  }

  #admits(authorization: string | undefined, { socket }: IncomingMessage): Promise<boolean> {
    return this.guard.admits(authorization, socket.remoteAddress)
  }
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(body)
}
