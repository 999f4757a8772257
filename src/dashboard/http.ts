/** Small change of HTTP: a request's body with a bound, an answer in JSON, a refusal as the page expects it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../kernel/clock.ts'
import type { Refusal } from './api.ts'

/** Bytes of a JSON body: a message to publish of the largest size that is usual, or some thousand topics. */
export const MAX_BODY = 1024 * 1024
/** Milliseconds in which a JSON body must have come. */
const BODY_TIMEOUT_MS = 10_000

/** What is not done, with the status that says so. */
export class HttpRefusal extends Error {
  readonly status: number
  readonly hint: string | undefined

  constructor(status: number, message: string, hint?: string) {
    super(message)
    this.status = status
    this.hint = hint
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  })
  response.end(text)
}

export function refuse(response: ServerResponse, status: number, message: string, hint?: string): void {
  const refusal: Refusal = hint === undefined ? { message } : { message, hint }
  sendJson(response, status, refusal)
}

/** The JSON of a request. Rejects with an HttpRefusal when it is none, too long, or takes too long. */
export async function readJson(request: IncomingMessage, clock: Clock): Promise<unknown> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new HttpRefusal(415, 'the body must be JSON, with Content-Type: application/json')
  }
  const timer = clock.after(BODY_TIMEOUT_MS, () => request.destroy())
  try {
    const chunks: Buffer[] = []
    let size = 0
    // Not destroyed at a refusal: the answer goes out on the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_BODY) throw new HttpRefusal(413, `the body may have ${MAX_BODY} bytes`)
      chunks.push(chunk)
    }
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)))
  } catch (error) {
    if (error instanceof HttpRefusal) throw error
    throw new HttpRefusal(400, 'the body is no JSON')
  } finally {
    timer.cancel()
  }
}
