/** A line on the console for each thing that was shown. Runs in the guest. */

/** Does `work`, and says that `what` was shown, with what `work` adds to it. */
export async function show(what: string, work: () => Promise<string> | Promise<void>): Promise<void> {
  const began = performance.now()
  let more: string | undefined
  try {
    more = (await work()) ?? undefined
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.stack : error}`)
  }
  const took = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`gpio: ${what}${more === undefined ? '' : `: ${more}`} (${took} s)`)
}

/** Throws when the two are not the same; `what` says of what. */
export function same<T extends string | number | boolean | undefined>(what: string, seen: T, wanted: T): void {
  if (seen !== wanted) throw new Error(`${what} is ${seen}, and should be ${wanted}`)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
