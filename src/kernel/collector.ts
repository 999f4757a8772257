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
