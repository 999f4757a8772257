/**
 * Time on the page. There is one timer: `now`, the gateway's wall clock, which moves once a second while the page is
 * seen, so that all ages on it change together. Whoever waits for something else uses `after`.
 */
import { computed, signal } from '@preact/signals'

/** How often ages on the page change, in ms. */
const TICK = 1000

const here = signal(Date.now())
/** How far the gateway's wall clock is ahead of this browser's, in ms. */
const ahead = signal(0)

/** The gateway's wall clock, in ms since 1970. */
export const now = computed(() => here.value + ahead.value)

/** The gateway said that its wall clock shows `wall`. */
export function setGatewayTime(wall: number): void {
  here.value = Date.now()
  ahead.value = wall - here.value
}

export function startClock(): void {
  const tick = (): void => {
    if (!document.hidden) here.value = Date.now()
  }
  setInterval(tick, TICK)
  document.addEventListener('visibilitychange', tick)
}

/** Calls `what` in `ms`; the answer calls it off. */
export function after(ms: number, what: () => void): () => void {
  const timer = setTimeout(what, ms)
  return () => clearTimeout(timer)
}

/** Calls `what` every `ms`; the answer ends it. */
export function every(ms: number, what: () => void): () => void {
  const timer = setInterval(what, ms)
  return () => clearInterval(timer)
}

/** A signal that aborts in `ms`, and what calls that off. */
export function deadline(ms: number): { signal: AbortSignal; done: () => void } {
  const abort = new AbortController()
  return { signal: abort.signal, done: after(ms, () => abort.abort()) }
}

/** Time that only goes forward, in ms. */
export function monotonic(): number {
  return performance.now()
}
