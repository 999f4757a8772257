/**
 * Waiting for a thing to happen, never for a time to pass. Each wait has a deadline and says, when it
 * misses it, what it waited for and what it saw instead.
 */
import { setTimeout as pause } from 'node:timers/promises'

/** Deadline in ms of a wait that does not name its own: long on a loaded machine, short for a person. */
export const PATIENCE = 10_000

export interface WaitOptions {
  /** Deadline in ms. */
  timeout?: number
  /** What is waited for, for the failure message. A function is asked at the deadline, so it can tell what was seen. */
  what: string | (() => string)
  /** Pause between two looks, in ms. */
  every?: number
}

/** Looks at `condition` until it gives something other than undefined, null or false, and gives that. Rejects at the deadline. */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
  const timeout = options.timeout ?? PATIENCE
  const deadline = performance.now() + timeout
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== null && value !== false) return value as Exclude<T, undefined | null | false>
    if (performance.now() > deadline) throw new Error(missed(options, timeout))
    await pause(options.every ?? 10)
  }
}

/** The outcome of `promise`, or a rejection at the deadline. */
export async function within<T>(promise: Promise<T>, options: Omit<WaitOptions, 'every'>): Promise<T> {
  const timeout = options.timeout ?? PATIENCE
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(missed(options, timeout))), timeout)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function missed(options: WaitOptions, timeout: number): string {
  const what = typeof options.what === 'string' ? options.what : options.what()
  return `waited ${timeout} ms for ${what}`
}
