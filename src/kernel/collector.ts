/**
 * V8's garbage collector, for those who know better than it when there is something to collect. It is hidden behind a flag,
 * which counts for contexts that are made later.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects what is young (a millisecond or less), or everything (tens of them). */
export type Collect = (options?: { type: 'minor' }) => void

/** Does nothing where V8 does not offer it. */
export function collector(): Collect {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as Collect | undefined
  setFlagsFromString('--no-expose-gc')
  return gc ?? (() => {})
}

/**
 * Messages are born young, whatever V8 has seen. A flood in which a thousand wait for each receiver makes it believe that
 * messages live long: from then on it makes every one of them among the old, where only a look at the whole heap frees
 * it, and what it points to is held and moved meanwhile. To be called before anything is hot.
 */
export function allocateYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
