/** Places in a JSON text, written as `main.temp`, `list[0].x` or `["odd.key"]`. */

const STEP = /\.?([^.[\]"]+)|\[(\d{1,6})\]|\["([^"]*)"\]/y

export type Path = readonly (string | number)[]

/** Throws an `Error` when it is no path. */
export function parsePath(text: string): Path {
  const steps: (string | number)[] = []
  STEP.lastIndex = 0
  while (STEP.lastIndex < text.length) {
    const at = STEP.lastIndex
    const [step, key, index, quoted] = STEP.exec(text) ?? []
    if (step === undefined || (key !== undefined && step.startsWith('.') === (at === 0))) {
      throw new Error(`${JSON.stringify(text)} is not a path such as main.temp or list[0].x`)
    }
    steps.push(index === undefined ? (key ?? quoted ?? '') : Number(index))
  }
  return steps
}

/** What lies at a path; undefined when there is no such place. */
export function follow(node: unknown, path: Path): unknown {
  for (const step of path) {
    if (typeof node !== 'object' || node === null || Array.isArray(node) !== (typeof step === 'number'))
      return undefined
    if (!Object.hasOwn(node, step)) return undefined
    node = (node as Record<string | number, unknown>)[step]
  }
  return node
}
