/**
 * One JSON text a line. An object of scalars becomes values by name; nested objects and arrays are
 * flattened to `outer_inner` and `outer_0`; null is "no reading" and left out. A bare scalar is a single value.
 */
import type { Reading } from '../../src/devices/ports.ts'
import { excerpt, type LineCodec, Values } from './values.ts'

/** Levels of nesting that are followed: sensors have one or two. */
const MAX_DEPTH = 8

export const jsonCodec: LineCodec = {
  decode(line: string): Reading {
    let parsed: unknown
    try {
      parsed = JSON.parse(line)
    } catch {
      throw new Error(`not JSON: ${excerpt(line)}`)
    }
    if (typeof parsed === 'string' || typeof parsed === 'boolean') return { value: parsed }
    if (typeof parsed === 'number') return { value: finite(parsed, line) }
    const values = new Values()
    flatten(parsed, '', 0)
    if (values.count === 0) throw new Error(`no values in ${excerpt(line)}`)
    return { value: values.byName }

    function flatten(node: unknown, name: string, depth: number): void {
      if (node === null) return
      if (typeof node === 'number') values.set(name, finite(node, line))
      else if (typeof node === 'string' || typeof node === 'boolean') values.set(name, node)
      else if (depth === MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH} levels: ${excerpt(line)}`)
      else {
        for (const [key, inner] of Object.entries(node as object)) {
          flatten(inner, name === '' ? key : `${name}_${key}`, depth + 1)
        }
      }
    }
  },
}

/** JSON can write numbers that no double holds; they would read as infinite. */
function finite(number: number, line: string): number {
  if (!Number.isFinite(number)) throw new Error(`a number out of range in ${excerpt(line)}`)
  return number
}
