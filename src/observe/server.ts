/**
 * The small HTTP listener for machines that look after machines: `/metrics` for Prometheus, and `/healthz`, which says
 * 503 and why when the gateway is up but does not do its work. Read only, no state, nothing secret.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { CONTENT_TYPE, exposition } from './exposition.ts'
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
  log: Log
}

export class MetricsServer implements Part {
  readonly name = 'metrics'
  readonly #place: HttpPlace
  readonly #look: () => Figures
  readonly #log: Log
  readonly #server: Server

  constructor(deps: ServerDependencies) {
    this.#place = deps.place
    this.#look = deps.look
    this.#log = deps.log
    const limits = { requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT, maxHeaderSize: MAX_HEAD }
    this.#server = createServer({ ...limits, connectionsCheckingInterval: REQUEST_TIMEOUT }, (request, response) =>
      this.#answer(request, response),
    )
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** Rejects with a LarderError LISTEN_* when its address cannot be used. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { host, port } = this.#place
    const server = this.#server
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen({ host, port }, () => resolve())
      })
    } catch (error) {
      throw faultOf(error, this.#place)
    }
    server
      .removeAllListeners('error')
      .on('error', error => this.#log.error({ reason: reasonOf(error) }, 'metrics fault'))
    this.#log.info({ metrics: `${this.address()}/metrics` }, 'metrics for Prometheus')
  }

  /** URL with the real port. Only after `start`. */
  address(): string {
    const bound = this.#server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : this.#place.port
    return urlOf({ ...this.#place, port })
  }

  async stop(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [path = ''] = (request.url ?? '').split('?')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      send(response, 405, 'Only GET and HEAD are answered here.\n')
    } else if (path === '/metrics') send(response, 200, exposition(this.#look()), CONTENT_TYPE)
    else if (path === '/healthz') {
      const { troubles } = this.#look()
      if (troubles.length === 0) send(response, 200, 'ok\n')
      else send(response, 503, `${troubles.join('\n')}\n`)
    } else send(response, 404, 'There are /metrics and /healthz here.\n')
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

function urlOf({ host, port }: HttpPlace): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function faultOf(error: unknown, place: HttpPlace): LarderError {
  const url = urlOf(place)
  const options = { cause: error, hint: 'Give another address as metrics.listen, or leave it out.' }
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return new LarderError('LISTEN_IN_USE', `another program listens at ${url} already.`, options)
    case 'EACCES':
      return new LarderError('LISTEN_DENIED', `this user may not listen at ${url}.`, options)
    default:
      return new LarderError('LISTEN_FAILED', `${url}: ${reasonOf(error)}.`, options)
  }
}
