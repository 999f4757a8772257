/**
 * The files of the page, as `scripts/build-page.mjs` lays them out: `index.html`, and beside it what has a hash in its
 * name and so never changes. Each may have a `.gz` beside it. Only what was there when it was looked is served.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { basename, extname, join } from 'node:path'

const INDEX = 'index.html'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}
/** `app-1a2b3c4d.js`: the name says what is in it. */
const HASHED = /[-.][0-9A-Za-z]{8,}\.\w+$/

const NOT_BUILT = `<!doctype html><meta charset="utf-8"><title>Larder</title>
<p>The page was not built with this gateway: run <code>node scripts/build-page.mjs</code>. What it shows is at <code>/api/</code>.</p>
`

/** Beside the bundle, or from the sources where the build puts it. */
export function pageFolder(): string {
  const here = import.meta.dirname
  return basename(here) === 'dist' ? join(here, 'page') : join(here, '../../dist/page')
}

export class PageFiles {
  /** Changes when the page does. */
  readonly build: string
  readonly #folder: string
  readonly #names: ReadonlySet<string>

  private constructor(folder: string, names: ReadonlySet<string>, build: string) {
    this.#folder = folder
    this.#names = names
    this.build = build
  }

  /** Looks what there is. Never rejects: without a page, one sentence stands in its place. */
  static async find(folder: string): Promise<PageFiles> {
    const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [])
    const names = entries
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    const index = await readFile(join(folder, INDEX)).catch(() => Buffer.from(NOT_BUILT))
    return new PageFiles(folder, new Set(names), createHash('sha256').update(index).digest('hex').slice(0, 16))
  }

  /** Answers GET and HEAD for a file of the page, and with the page itself for a place in it. False when there is none. */
  async serve(path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const wanted = path.slice(1)
    const isFile = wanted !== '' && this.#names.has(wanted) && !wanted.endsWith('.gz')
    const isPlace = extname(wanted) === '' && !path.startsWith('/api/')
    if (!isFile && !isPlace) return false
    const name = isFile ? wanted : INDEX
    if (name !== INDEX && HASHED.test(name)) {
      response.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
    } else {
      const tag = `"${this.build}"`
      response.setHeader('Cache-Control', 'no-cache')
      response.setHeader('ETag', tag)
      if (request.headers['if-none-match'] === tag) {
        response.writeHead(304).end()
        return true
      }
    }
    response.setHeader('Content-Type', TYPES[extname(name)] ?? 'application/octet-stream')
    const isPacked = this.#names.has(`${name}.gz`) && /\bgzip\b/.test(`${request.headers['accept-encoding']}`)
    if (this.#names.has(`${name}.gz`)) response.setHeader('Vary', 'Accept-Encoding')
    if (isPacked) response.setHeader('Content-Encoding', 'gzip')
    const bytes = this.#names.has(name)
      ? await readFile(join(this.#folder, isPacked ? `${name}.gz` : name))
      : Buffer.from(NOT_BUILT)
    response.setHeader('Content-Length', bytes.length)
    response.end(request.method === 'HEAD' ? undefined : bytes)
    return true
  }
}
