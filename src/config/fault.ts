/**
 * A fault of the configuration: what is wrong, in words for the person who wrote it, and where. Parts of
 * this folder say *where* by keys (a `Complaint`); only `load.ts` turns that into lines and columns.
 */

export interface Fault {
  /** The file as the owner named it, or the environment variable that brought the value. */
  file: string
  /** From 1. */
  line: number
  /** From 1, in characters. */
  column: number
  /** Such as `listeners[0].url`; empty for the whole file. */
  path: string
  /** A sentence without a full stop. */
  message: string
}

export type Key = string | number

/** A fault by keys, before it has a line and a column. */
export interface Complaint {
  keys: readonly Key[]
  message: string
  /** What to point at: the value, its key, or (`missing`) the map that should have had the key. */
  at: 'value' | 'key' | 'missing'
  /** True when it speaks of more than its own place: it says little while other places cannot be read. */
  wide?: boolean
}

/** A fault whose message is on one line, whatever of the file it repeats. */
export function createFault(fault: Fault): Fault {
  return { ...fault, message: onOneLine(fault.message) }
}

/** One line for a person: `larder.yaml:12:5: listeners[0].prot: unknown key; did you mean 'port'?` */
export function faultLine(fault: Fault): string {
  const path = fault.path === '' ? '' : `${fault.path}: `
  return `${fault.file}:${fault.line}:${fault.column}: ${path}${fault.message}`
}

/** `['listeners', 0, 'url']` as `listeners[0].url`. */
export function pathOf(keys: readonly Key[]): string {
  let path = ''
  for (const key of keys) {
    if (typeof key === 'number') path += `[${key}]`
    else if (!/^[\w-]+$/.test(key)) path += `[${JSON.stringify(shorten(key))}]`
    else path += path === '' ? key : `.${key}`
  }
  return path
}

/** In the order of the text, each once. Faults of the environment follow those of the file. */
export function inOrder(faults: readonly Fault[], file: string): Fault[] {
  const elsewhere = (fault: Fault) => (fault.file === file ? 0 : 1)
  const sorted = faults.toSorted(
    (a, b) => elsewhere(a) - elsewhere(b) || a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column,
  )
  // A value that aliases bring to several places is wrong once.
  const seen = new Set<string>()
  return sorted.filter(({ file, line, column, message }) => {
    const place = JSON.stringify([file, line, column, message])
    return !seen.has(place) && seen.add(place)
  })
}

/** Characters of a value that a message repeats: enough to recognise it. */
const MAX_SHOWN = 60

/** `text` for a message: on one line, not too long. */
export function shorten(text: string): string {
  const line = onOneLine(text)
  return line.length <= MAX_SHOWN ? line : `${line.slice(0, MAX_SHOWN - 1)}…`
}

function onOneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ')
}
