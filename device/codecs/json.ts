/**
 * One JSON text a line. An object of scalars becomes values by name; nested objects and arrays are
 * flattened to `outer_inner` and `outer_0`; null is "no reading" and left out. A bare scalar is a single value.
 * With `paths`, what lies at each becomes the value of its name, and the rest is left out.
 */
import type { Reading } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import { follow, parsePath } from './paths.ts'
import type { JsonSettings } from './settings.ts'
import { excerpt, Values } from './values.ts'

/** Levels of nesting that are followed: sensors have one or two. */
const MAX_DEPTH = 8

/** Where one object ends and the next begins, in a line whose end was lost. */
export const OBJECT_BEGINS = /(?<=\})\s*(?=\{)/

/** Throws an `Error` when one of the paths is none. */
export function jsonCodec({ maxLine, paths }: Omit<JsonSettings, 'codec'>, events: CodecEvents): Codec {
  const chosen = Object.entries(paths ?? {}).map(([name, path]) => [name, parsePath(path)] as const)

  return lineCodec({ maxLine, decode, mayBeTail: isScalar, beginning: OBJECT_BEGINS }, events)

  function decode(line: string): Reading {
    const parsed = parseJson(line)
    if (paths === undefined && isValue(parsed, line)) return { value: parsed }
    const values = new Values()
    if (paths === undefined) flatten(parsed, values, line)
    else for (const [name, path] of chosen) flatten(follow(parsed, path), values, line, name)
    if (values.count === 0) throw new Error(`no values in ${excerpt(line)}`)
    return { value: values.byName }
  }
}

/** The tail of an object or a list is never whole; that of a number is one. */
function isScalar(line: string): boolean {
  return !/^\s*[{[]/.test(line)
}

/** Throws an `Error` that quotes the line when it is not JSON. */
export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new Error(`not JSON: ${excerpt(line)}`)
  }
}

/** JSON can write numbers that no double holds; they would read as infinite. */
function isValue(node: unknown, line: string): node is string | number | boolean {
  if (typeof node === 'number' && !Number.isFinite(node)) throw new Error(`a number out of range in ${excerpt(line)}`)
  return typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean'
}

/** Adds every scalar under `node`, by the names on the way to it. Throws an `Error` that quotes the line. */
export function flatten(node: unknown, values: Values, line: string, name = '', depth = 0): void {
  if (node === null || node === undefined) return
  if (isValue(node, line)) {
    values.set(name, node)
    return
  }
  if (depth === MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH} levels: ${excerpt(line)}`)
  for (const [key, inner] of Object.entries(node)) {
    flatten(inner, values, line, name === '' ? key : `${name}_${key}`, depth + 1)
  }
}
