/** What the page asks of the gateway besides the stream. Addresses are relative: the page may stand behind a proxy. */
import type { Actions, Cleared, Done, Refusal } from '../api.ts'
import { deadline } from './time.ts'

/** The gateway refused, or could not be reached. The message is for the person; the hint says what to do. */
export class Refused extends Error {
  readonly hint: string | undefined
  readonly status: number

  constructor(refusal: Refusal, status: number) {
    super(refusal.message)
    this.hint = refusal.hint
    this.status = status
  }
}

/** Longest wait for an answer in ms: a check of the whole gateway may take a name server's patience. */
const PATIENCE = 30_000
/** Longest wait for a backup or a restore, in ms: a full card is read. */
const LONG_PATIENCE = 600_000

let loggedOut: () => void = () => {}

/** Who is to be told when the gateway no longer knows this browser. */
export function onLoggedOut(callback: () => void): void {
  loggedOut = callback
}

/** `patience`: ms until it counts as not answered. */
export function get<T>(path: string, patience?: number): Promise<T> {
  return ask<T>(path, { method: 'GET' }, patience)
}

export function post<T = Done>(path: string, body: unknown = {}): Promise<T> {
  return ask<T>(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/** Has something done. */
export function act<K extends keyof Actions>(name: K, body: Actions[K]): Promise<K extends 'clear' ? Cleared : Done> {
  return post(name, body)
}

export function remove(path: string): Promise<void> {
  return ask<void>(path, { method: 'DELETE', headers: { 'Content-Type': 'application/json' } })
}

export function upload(path: string, file: Blob): Promise<Done> {
  const headers = { 'Content-Type': 'application/octet-stream' }
  return ask<Done>(path, { method: 'POST', headers, body: file }, LONG_PATIENCE)
}

async function ask<T>(path: string, request: RequestInit, patience = PATIENCE): Promise<T> {
  const limit = deadline(patience)
  let answer: Response
  try {
    answer = await fetch(`api/${path}`, { ...request, cache: 'no-store', signal: limit.signal })
  } catch {
    throw new Refused({ message: 'The gateway did not answer.', hint: 'Is it running, and in the same network?' }, 0)
  } finally {
    limit.done()
  }
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T
  if (answer.status === 401 && path !== 'session') loggedOut()
  throw new Refused(await refusalOf(answer), answer.status)
}

async function refusalOf(answer: Response): Promise<Refusal> {
  try {
    const refusal = (await answer.json()) as Refusal
    if (typeof refusal.message === 'string') return refusal
  } catch {
    // Not the gateway's own answer: a proxy's, or none.
  }
  return { message: `The gateway refused this (${answer.status}).` }
}

/** `error` as a person may read it. */
export function refusal(error: unknown): Refusal {
  if (error instanceof Refused) return { message: error.message, ...(error.hint ? { hint: error.hint } : {}) }
  return { message: error instanceof Error ? error.message : String(error) }
}
