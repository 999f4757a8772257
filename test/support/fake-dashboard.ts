/**
 * Serves the built page and speaks its contract (`src/dashboard/api.ts`) with whatever a test or a screenshot wants the
 * gateway to be: silent, slow, broken, locked. What the page asked for is kept. It has the headers of the real one, so
 * that what its Content-Security-Policy forbids fails here as well.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import type { Session } from '../../src/dashboard/api.ts'
import { ROOT } from './gateway.ts'
import type { Household } from './page-fixtures.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
}

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** Sections whose names are keys of the household; `topics` go in parts of this many. */
const SECTIONS = ['overview', 'home', 'topics', 'clients', 'bridges', 'devices', 'health', 'log'] as const
const TOPICS_PART = 500

export interface Asked {
  readonly method: string
  readonly path: string
  readonly body: string
}

export class FakeDashboard {
  household: Household
  session: Session = { needsLogin: false }
  /** Sections are not sent: the page goes on loading. */
  silent = false
  readonly asked: Asked[] = []
  readonly #streams = new Set<ServerResponse>()
  #server: Server | undefined
  #port = 0

  constructor(household: Household) {
    this.household = household
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy())
    }).listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Goes away as a gateway does whose plug was pulled: open streams break. `start` brings it back on the same port. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  /** Sends an event to all streams. */
  send(name: string, data: unknown): void {
    for (const stream of this.#streams) write(stream, name, data)
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#streams.size
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url)
    response.setHeader('Content-Security-Policy', POLICY)
    response.setHeader('X-Content-Type-Options', 'nosniff')
    if (!pathname.startsWith('/api/')) return await this.#file(pathname, response)
    const path = pathname.slice('/api/'.length)
    const body = await text(request)
    const method = request.method ?? 'GET'
    this.asked.push({ method, path, body })
    if (path === 'events') return this.#stream(searchParams.get('of') ?? '', response)
    if (path === 'session' && method === 'POST') return this.#login(body, response)
    if (method === 'GET') json(response, this.#look(path))
    else if (path === 'config/check') json(response, { faults: this.household.faults })
    else if (path === 'clear') json(response, { message: 'Cleared.', token: 'undo' })
    else if (method === 'DELETE') response.writeHead(204).end()
    else json(response, { message: 'Done.' })
  }

  #look(path: string): unknown {
    const { config, discovery, doctor, dead, history } = this.household
    return { session: this.session, config, discover: discovery, doctor, dead, history }[path]
  }

  #login(body: string, response: ServerResponse): void {
    const { user, password } = JSON.parse(body) as { user: string; password: string }
    if (password !== 'right') {
      response.statusCode = 401
      json(response, { message: 'User or password is wrong.' })
      return
    }
    this.session = { needsLogin: true, user }
    response.writeHead(204).end()
  }

  #stream(of: string, response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    this.#streams.add(response)
    response.once('close', () => this.#streams.delete(response))
    write(response, 'hello', { ...this.household.hello, now: Date.now() })
    if (this.silent) return
    for (const name of SECTIONS) {
      if (!of.split(',').includes(name)) continue
      if (name !== 'topics') write(response, name, this.household[name])
      else {
        const { topics } = this.household
        for (let start = 0; start === 0 || start < topics.length; start += TOPICS_PART) {
          write(response, name, topics.slice(start, start + TOPICS_PART))
        }
      }
    }
  }

  async #file(path: string, response: ServerResponse): Promise<void> {
    const name = path === '/' ? 'index.html' : path.slice(1)
    const content = await readFile(join(ROOT, 'dist/page', name)).catch(() => undefined)
    if (content === undefined) {
      response.writeHead(404).end()
      return
    }
    response.setHeader('Content-Type', TYPES[extname(name)] ?? 'application/octet-stream')
    response.end(content)
  }
}

function write(response: ServerResponse, name: string, data: unknown): void {
  response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
}

function json(response: ServerResponse, data: unknown): void {
  if (data === undefined) {
    response.statusCode = 404
    response.end(JSON.stringify({ message: 'There is no such thing.' }))
    return
  }
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify(data))
}

async function text(request: IncomingMessage): Promise<string> {
  let all = ''
  for await (const chunk of request.setEncoding('utf8')) all += chunk
  return all
}
