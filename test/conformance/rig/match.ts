/** Compares what came with what a case expects: only the fields of the pattern count. */
import { Bound, type Fields } from './format.ts'

/** Where `value` differs from `pattern`, in a few words; undefined when it fits. */
export function difference(
  value: unknown,
  pattern: unknown,
  bound: Map<string, unknown>,
  path = '',
): string | undefined {
  const differs = (wanted: string) => `${path === '' ? 'packet' : path} is ${show(value)}, not ${wanted}`
  if (typeof pattern === 'function') {
    return (pattern as (value: unknown) => boolean)(value)
      ? undefined
      : `${path} is ${show(value)}, which ${pattern.name || 'the case'} does not accept`
  }
  if (pattern instanceof Bound) {
    const known = bound.get(pattern.name)
    if (value === undefined || value === 0) return differs(`an identifier for ${pattern.name}`)
    const same = pattern.unlike.find(name => bound.get(name) === value)
    if (same !== undefined) return differs(`unlike that of ${same}`)
    if (known === undefined) bound.set(pattern.name, value)
    return known === undefined || known === value ? undefined : differs(`${show(known)} as ${pattern.name} was before`)
  }
  // mqtt-packet leaves absent fields undefined or null.
  if (pattern === undefined) return value === undefined || value === null ? undefined : differs('absent')
  if (value instanceof Uint8Array) {
    const wanted = pattern instanceof Uint8Array ? Buffer.from(pattern) : Buffer.from(String(pattern))
    return wanted.equals(value) ? undefined : differs(show(wanted))
  }
  if (Array.isArray(pattern)) {
    if (!Array.isArray(value) || value.length !== pattern.length) return differs(show(pattern))
    return first(pattern.map((item, index) => difference(value[index], item, bound, `${path}[${index}]`)))
  }
  if (typeof pattern === 'object' && pattern !== null) {
    if (typeof value !== 'object' || value === null) return differs(show(pattern))
    return first(
      Object.entries(pattern).map(([key, item]) =>
        difference((value as Fields)[key], item, bound, path === '' ? key : `${path}.${key}`),
      ),
    )
  }
  return value === pattern ? undefined : differs(show(pattern))
}

/** A packet or a part of it on one line. */
export function show(value: unknown): string {
  if (value instanceof Uint8Array) return showBytes(Buffer.from(value))
  if (value instanceof Bound) return `id(${value.name})`
  if (typeof value === 'function') return `<${value.name || 'condition'}>`
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(
      ([key, item]) => item !== null && item !== undefined && key !== 'length',
    )
    return `{${fields.map(([key, item]) => `${key}: ${show(item)}`).join(', ')}}`
  }
  return typeof value === 'string' && value.length > 120
    ? `'${value.slice(0, 100)}…' (${value.length})`
    : (JSON.stringify(value) ?? 'undefined')
}

/** Bytes as text when they are, else as hex; long ones are cut. */
function showBytes(bytes: Buffer): string {
  const content = bytes.toString()
  const printable = /^[\x20-\x7e]*$/.test(content)
  return printable ? show(content) : showHex(bytes)
}

/** Most bytes of a packet that a message shows. */
const SHOWN_BYTES = 80

export function showHex(bytes: Buffer): string {
  const shown = (bytes.subarray(0, SHOWN_BYTES).toString('hex').match(/../g) ?? []).join(' ')
  return bytes.length > SHOWN_BYTES ? `${shown} … (${bytes.length} bytes)` : shown
}

function first(differences: (string | undefined)[]): string | undefined {
  return differences.find(found => found !== undefined)
}
