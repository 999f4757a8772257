/**
 * The HTTP listener of the web page: files of the page, and what it asks below `/api/`. Everything from here is strict:
 * nothing from elsewhere may be loaded or may show the page in a frame, requests are bounded in number, size and time, and
 * a name that may be somebody else's is not answered.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type Server as SecureServer } from 'node:https'
import { hostname } from 'node:os'
import type { SecureContextOptions } from 'node:tls'
import { reasonOf } from '../kernel/errors.ts'
import { closeHttp, type HttpAddress, openHttp, urlOfHttp } from '../kernel/http-server.ts'
import type { Log } from '../kernel/log.ts'
import type { Api } from './api-routes.ts'
import type { PageFiles } from './files.ts'
import { isKnownHost } from './guard.ts'
import { refuse } from './http.ts'
import type { DashboardPlace } from './ports.ts'

/** Connections at once: a browser has up to six. */
const MAX_CONNECTIONS = 96
/** Milliseconds in which a request's head must have come. */
const HEAD_TIMEOUT_MS = 10_000
/** Milliseconds in which a request must have come: a backup over a slow network. Smaller bodies have a time of their own. */
const REQUEST_TIMEOUT_MS = 30 * 60_000
/** Milliseconds that an idle connection stays, so that a page need not connect anew for each question. */
const KEEP_ALIVE_MS = 30_000
/** Milliseconds between two looks at those times. */
const CHECK_INTERVAL_MS = 5_000
/** Bytes of a request's head. */
const MAX_HEAD = 16 * 1024
/** Characters of a path with its query. */
const MAX_PATH = 4 * 1024

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
}

export interface DashboardServerDependencies {
  place: DashboardPlace
  /** Absent: plain HTTP. */
  tls?: SecureContextOptions | undefined
  /** Names that it may be called by, besides those of this machine and of private networks. */
  names: () => readonly string[]
  files: PageFiles
  api: Api
  log: Log
}

export class DashboardServer {
  readonly #deps: DashboardServerDependencies
  readonly #server: Server | SecureServer
  readonly #ownName = hostname()

  constructor(deps: DashboardServerDependencies) {
    this.#deps = deps
    const limits = {
      headersTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      maxHeaderSize: MAX_HEAD,
    }
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response)
    this.#server =
      deps.tls === undefined ? createHttpServer(limits, answer) : createHttpsServer({ ...limits, ...deps.tls }, answer)
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /** Rejects with a LarderError LISTEN_* when its address cannot be used. */
  async open(): Promise<void> {
    await openHttp(this.#server, this.#address, {
      hint: 'Give another address as dashboard.listen, or off.',
      onFault: error => this.#deps.log.error({ reason: reasonOf(error) }, 'web page fault'),
    })
  }

  /** URL with the real port. Only while it is open. */
  address(): string {
    return urlOfHttp(this.#server, this.#address)
  }

  /** New connections are made with this from now on. */
  renew(tls: SecureContextOptions): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(tls)
  }

  async close(): Promise<void> {
    await closeHttp(this.#server)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { names, files, api, log } = this.#deps
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    request.on('error', () => {})
    response.on('error', () => {})
    try {
      if (!isKnownHost(request.headers.host, [...names(), this.#ownName])) {
        const hint = 'Use its address, or a name that ends in .local; other names are to be listed as dashboard.names.'
        return refuse(response, 421, 'the gateway does not know this name as its own', hint)
      }
      const target = request.url ?? '/'
      const query = target.indexOf('?')
      const path = query === -1 ? target : target.slice(0, query)
      if (target.length > MAX_PATH || !path.startsWith('/')) return refuse(response, 400, 'this is no path')
      if (path.startsWith('/api/')) {
        const rest = new URLSearchParams(query === -1 ? '' : target.slice(query))
        return await api.answer(path.slice('/api/'.length), request, response, rest)
      }
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD')
        return refuse(response, 405, 'only GET and HEAD are answered here')
      }
      if (!(await files.serve(path, request, response))) refuse(response, 404, 'there is nothing here')
    } catch (error) {
      log.error({ reason: reasonOf(error) }, 'the web page could not be served')
      if (response.headersSent) response.destroy()
      else refuse(response, 500, 'this cannot be served')
    }
  }

  get #address(): HttpAddress {
    const { place, tls } = this.#deps
    return { scheme: tls === undefined ? 'http' : 'https', ...place }
  }
}
