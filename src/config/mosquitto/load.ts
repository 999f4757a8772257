/**
 * Loads a mosquitto.conf as it is: lines -> a draft of larder.yaml -> the same schema that larder.yaml goes
 * through -> `Config`. So there is one place for defaults and bounds, and `larder import` can print the draft. Every
 * fault is told at once, in Mosquitto's words where it has some, with its file and line.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemCodeOf } from '../../kernel/errors.ts'
import { assemble } from '../assemble.ts'
import { referenceComplaints } from '../references.ts'
import { rootSchema } from '../root.ts'
import type { Checks } from '../schedules.ts'
import type { Config } from '../schema.ts'
import { readWith } from '../structure.ts'
import { type Cursor, createBridge, createListener, Draft, type Habits, type Notice } from './draft.ts'
import { type ConfFaultAt, type FinishOptions, finish } from './finish.ts'
import { optionNamed } from './options.ts'
import type { Place, Section } from './section.ts'
import { ConfFault } from './values.ts'

export type { Habits, LogHabits, Notice } from './draft.ts'
export type { ConfFaultAt } from './finish.ts'
export type { Machine, Ports } from './finish-listeners.ts'
export { localMachine } from './machine.ts'

/** Bytes of one file: a hundred times more than a large house needs. */
const MAX_FILE = 2 ** 20
/** Files of one include_dir. */
const MAX_INCLUDED = 1_000

export interface MosquittoLoadOptions extends FinishOptions {
  /** As it was given; without one Mosquitto's defaults are loaded. */
  file?: string | undefined
  checks: Checks
}

export interface LoadedConf {
  config: Config
  habits: Habits
  /** In the order of the lines. */
  notices: Notice[]
  /** Files that were included, in order. */
  included: string[]
  /** The map of larder.yaml that `config` was made of. */
  root: Section
}

export function loadMosquittoConf(options: MosquittoLoadOptions): LoadedConf | { faults: ConfFaultAt[] } {
  const reader = new ConfReader(options.cwd)
  if (options.file !== undefined) reader.readMain(options.file)
  const { root, habits, notices, faults } = finish(reader.draft, options)
  const found = [...reader.faults, ...faults]
  const raw = root.plain()
  const result = readWith(rootSchema(options.checks), raw)
  const complaints = [...('complaints' in result ? result.complaints : []), ...referenceComplaints(raw)]
  for (const { keys, message } of found.length > 0 ? [] : complaints) {
    const place = root.placeOf(keys)
    found.push({ place, message: place === undefined ? message : `Invalid ${place.option} value: it ${message}.` })
  }
  if (found.length > 0) return { faults: found }
  if ('complaints' in result) throw new Error('a configuration without faults was refused')
  const folders = { base: options.cwd, dataBase: options.cwd }
  return { config: assemble(result.output, folders), habits, notices, included: reader.included, root }
}

/** A fault as Mosquitto prints it. */
export function confFaultLines({ place, message }: ConfFaultAt): string[] {
  const where = place === undefined ? [] : [`Error found at ${place.file}:${place.line}.`]
  return [`Error: ${message}`, ...where]
}

/** One line for the owner: `mosquitto.conf:12: autosave_interval is not needed: …`. */
export function noticeLine({ place, message }: Notice): string {
  return `${place.file}:${place.line}: ${place.option} ${message}`
}

class ConfReader {
  readonly draft = new Draft()
  readonly faults: ConfFaultAt[] = []
  readonly included: string[] = []
  readonly #cwd: string

  constructor(cwd: string) {
    this.#cwd = cwd
  }

  readMain(file: string): void {
    this.#read(file, rest => this.#include(rest))
  }

  #include(rest: string): void {
    const folder = rest.trim()
    if (folder === '') throw new ConfFault('Empty include_dir value in configuration.')
    let names: string[]
    try {
      names = readdirSync(resolve(this.#cwd, folder)).filter(name => name.endsWith('.conf'))
    } catch {
      throw new ConfFault(`Unable to open include_dir '${folder}'.`)
    }
    if (names.length > MAX_INCLUDED) throw new ConfFault(`include_dir '${folder}' has more than ${MAX_INCLUDED} files.`)
    for (const name of names.sort(byName)) {
      const file = join(folder, name)
      this.included.push(file)
      this.#read(file, () => {
        throw new ConfFault('The include_dir option is only valid in the main configuration file.')
      })
    }
  }

  /** Each file begins anew: its options do not belong to a listener or bridge of another. */
  #read(file: string, include: (rest: string) => void): void {
    const lines = this.#lines(file)
    const cursor = this.draft.createCursor()
    for (const [index, bytes] of lines.entries()) {
      const line = index + 1
      let text: string
      try {
        text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: index > 0 }).decode(bytes)
      } catch {
        if (bytes[0] === COMMENT) continue
        this.faults.push({ place: { file, line, option: '' }, message: 'Malformed UTF-8 in configuration.' })
        continue
      }
      const [, option, rest = ''] = /^ *([^ ]+) ?(.*?)\s*$/s.exec(text.replace(/[\r\n]+$/, '')) ?? []
      if (option === undefined || /^\s*(#|$)/.test(text)) continue
      this.#apply({ file, line, option }, rest, cursor, include)
    }
  }

  #apply(place: Place, rest: string, cursor: Cursor, include: (rest: string) => void): void {
    try {
      if (place.option === 'include_dir') {
        include(rest)
        return
      }
      const path = (written: string) => resolve(this.#cwd, written)
      const message = optionNamed(place.option)(rest, { draft: this.draft, cursor, place, path })
      if (message !== undefined) this.draft.notices.push({ place, message })
    } catch (error) {
      if (!(error instanceof ConfFault)) throw error
      this.faults.push({ place, message: error.message })
      // What follows belongs to what this line should have begun; it is judged, and goes nowhere.
      if (place.option === 'listener') cursor.listener = createListener(place, 0)
      if (place.option === 'connection') cursor.bridge = createBridge('', place)
      if (place.option.includes('plugin')) cursor.plugin ??= 'other'
    }
  }

  #lines(file: string): Buffer[] {
    const unreadable = (message: string) => {
      this.faults.push({ place: undefined, message })
      return []
    }
    let bytes: Buffer
    try {
      bytes = readFileSync(resolve(this.#cwd, file))
    } catch (error) {
      if (systemCodeOf(error) === 'EISDIR') return unreadable(`Config file ${file} is a directory.`)
      return unreadable(`Unable to open config file ${file}.`)
    }
    if (bytes.length > MAX_FILE) return unreadable(`Config file ${file} is larger than 1 MiB.`)
    const lines: Buffer[] = []
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, start)
      lines.push(bytes.subarray(start, end === -1 ? bytes.length : end))
      start = end === -1 ? bytes.length : end + 1
    }
    return lines
  }
}

const NEWLINE = 10
const COMMENT = 35

/** Upper and lower case side by side, upper first, as Mosquitto loads them. */
function byName(a: string, b: string): number {
  const [lowerA, lowerB] = [a.toLowerCase(), b.toLowerCase()]
  return lowerA < lowerB ? -1 : lowerA > lowerB ? 1 : a < b ? -1 : 1
}
