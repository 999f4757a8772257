/**
 * Loads the configuration: text → syntax tree → plain values → environment → schema → `Config`, or every
 * fault at once, each with the line and column to go to. Nothing here prints, exits or looks at the
 * process: whoever calls hands in the environment and the working folder.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { reasonOf, systemCodeOf } from '../kernel/errors.ts'
import { assemble, BARE_DEVICES } from './assemble.ts'
import { DocumentReader } from './document.ts'
import { type Complaint, createFault, type Fault, inOrder, pathOf } from './fault.ts'
import { applyOverrides, type Overridden } from './overrides.ts'
import { referenceComplaints } from './references.ts'
import { rootSchema } from './root.ts'
import type { Checks } from './schedules.ts'
import type { Config } from './schema.ts'
import { readWith } from './structure.ts'
import { parseYaml } from './syntax.ts'

export { type Fault, faultLine } from './fault.ts'

/** The file's name where none is given. */
export const DEFAULT_FILE = 'larder.yaml'

/** Bytes: a hundred times more than a large house needs; a log or an image that was named by mistake is refused. */
const MAX_FILE = 2 ** 20

const BYTE_ORDER_MARK = /^\uFEFF/

export interface LoadOptions {
  /** Path of the file; its name stands in faults, its folder is where relative paths begin. */
  file?: string
  /** The file's text, when it has been read already. With neither, the built-in configuration is loaded. */
  text?: string
  env: NodeJS.ProcessEnv
  /** Absolute. */
  cwd: string
  checks: Checks
}

/** The configuration, or all its faults in the order of the text. Never throws for what is in the file. */
export function loadConfig(options: LoadOptions): { config: Config } | { faults: Fault[] } {
  const { file, env, cwd, checks } = options
  const name = file ?? DEFAULT_FILE
  const isBare = file === undefined && options.text === undefined
  let text = options.text?.replace(BYTE_ORDER_MARK, '') ?? ''
  if (options.text === undefined && file !== undefined) {
    const read = readText(resolve(cwd, file))
    if ('problem' in read) return { faults: [{ file: name, line: 1, column: 1, path: '', message: read.problem }] }
    text = read.text
  }
  const source = new Source(name, text, env)
  const overridden = applyOverrides(isBare ? { devices: BARE_DEVICES } : (source.root ?? {}), env)
  const result = readWith(rootSchema(checks), overridden.root)
  const complaints = [...('complaints' in result ? result.complaints : []), ...referenceComplaints(overridden.root)]
  const faults = [...source.faults, ...complaints.flatMap(complaint => source.faultOf(complaint, overridden))]
  if (faults.length > 0) return { faults: inOrder(faults, name) }
  if ('complaints' in result) throw new Error('a configuration without faults was refused')
  const base = file === undefined ? cwd : dirname(resolve(cwd, file))
  const dataBase = overridden.sourceOf(['data_dir']) === undefined ? base : cwd
  return { config: assemble(result.output, { base, dataBase }) }
}

/** A text with its values, the faults of how it is written, and the way from a value back to its line. */
class Source {
  readonly root: unknown
  readonly faults: Fault[]
  readonly #name: string
  readonly #reader: DocumentReader
  readonly #lineStarts: number[]
  /** Lines that have a fault of syntax and are not judged any further. */
  readonly #blamed: Set<number>
  /** True when the text was not read quite as it was meant, somewhere. */
  readonly #isUnsure: boolean
  /** From here on the text may have been read as something else than was meant. */
  readonly #doubtfulFrom: number

  constructor(name: string, text: string, env: NodeJS.ProcessEnv) {
    this.#name = name
    this.#lineStarts = [0, ...Array.from(text.matchAll(/\n/g), match => match.index + 1)]
    const { document, faults } = parseYaml(text)
    const unclosed = faults.filter(fault => fault.unclosed)
    const onFlat = (start: number, end: number) => {
      const swallower = unclosed.find(({ offset }) => start <= offset && offset <= end)
      if (swallower !== undefined) swallower.offset = start
    }
    this.#reader = new DocumentReader({ env, onFlat })
    this.root = document === undefined ? null : this.#reader.read(document)
    this.#isUnsure = faults.some(({ reach }) => reach !== 'nowhere')
    this.#blamed = new Set(
      faults.filter(({ reach }) => reach === 'line').map(({ offset }) => this.#position(offset).line),
    )
    this.#doubtfulFrom = faults
      .filter(({ reach }) => reach === 'rest')
      .reduce((from, { offset }) => Math.min(from, offset), Number.POSITIVE_INFINITY)
    const unread = this.#reader.faults.map(({ offset, keys, message }) => this.#fault(offset, pathOf(keys), message))
    const told = new Set(unread.map(({ line }) => line))
    const unclear = onePerLine(faults.map(({ offset, message }) => this.#fault(offset, '', message)))
    this.faults = [...unread, ...unclear.filter(({ line }) => !told.has(line))]
  }

  /** The fault that a complaint is; none when it follows from one that is told already. */
  faultOf({ keys, message, at, wide }: Complaint, { sourceOf }: Overridden): Fault[] {
    const source = sourceOf(keys)
    if (source !== undefined) {
      return [createFault({ file: source.variable, line: 1, column: source.column, path: pathOf(keys), message })]
    }
    const offset = this.#reader.offsetOf(this.root, keys, at)
    if (offset === undefined || offset >= this.#doubtfulFrom) return []
    if (wide && this.#isUnsure) return []
    const fault = this.#fault(offset, pathOf(keys), message)
    return this.#blamed.has(fault.line) ? [] : [fault]
  }

  #fault(offset: number, path: string, message: string): Fault {
    return createFault({ file: this.#name, ...this.#position(offset), path, message })
  }

  #position(offset: number): { line: number; column: number } {
    let low = 0
    let high = this.#lineStarts.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (this.#lineStarts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - this.#lineStarts[low]! + 1 }
  }
}

/** A line that cannot be read is one fault, whatever the parser stumbles over on it. */
function onePerLine(faults: Fault[]): Fault[] {
  const lines = new Set<number>()
  const sorted = faults.toSorted((a, b) => a.line - b.line || a.column - b.column)
  return sorted.filter(({ line }) => !lines.has(line) && lines.add(line))
}

function readText(path: string): { text: string } | { problem: string } {
  try {
    const bytes = readFileSync(path)
    if (bytes.length > MAX_FILE)
      return { problem: `is larger than 1 MiB, so it is no configuration: name the right file` }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    return { problem: problemOf(error) }
  }
}

function problemOf(error: unknown): string {
  switch (systemCodeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'there is no such file: check the name, or give another with -c FILE'
    case 'EACCES':
    case 'EPERM':
      return 'this user may not read the file: change its owner or its mode (chmod), or run as another user'
    case 'EISDIR':
      return `this is a folder: give the file in it, such as ${DEFAULT_FILE}`
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'this is not UTF-8 text: save the file as UTF-8'
    default:
      return `the file cannot be read: ${reasonOf(error)}`
  }
}
