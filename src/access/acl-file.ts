/**
 * The ACL file in Mosquitto's syntax (mosquitto.conf(5), `acl_file`), of 2.0 and 2.1:
 *
 *   # comment, with '#' in the first column
 *   topic [read|write|readwrite|deny] <filter>     before the first `user`: for clients without a user name
 *   user <name>                                    the following `topic` lines are for this user
 *   pattern [read|write|readwrite|deny] <filter>   for every client, wherever it stands; with %c and %u
 *
 * Without an access it is readwrite. Words are separated by spaces; names and filters may hold some. A file that
 * Mosquitto refuses is refused; what it takes but can hardly be meant is taken too, with a warning.
 */
import { topicFilterFault } from '../mqtt/topics.ts'
import { Acl } from './acl.ts'
import { DENY, hasPlaceholder, READ, type Rule, WRITE } from './acl-tree.ts'

/** Something that is wrong with a line, or doubtful. */
export interface AclFault {
  file: string
  /** From 1. */
  line: number
  /** From 1, in characters. */
  column: number
  /** A sentence without a full stop. */
  message: string
}

/** Topic levels of a rule: Mosquitto's limit. */
const MAX_LEVELS = 200
/** Characters of the file that a message repeats. */
const MAX_QUOTED = 40

const ACCESSES: ReadonlyMap<string, number> = new Map([
  ['read', READ],
  ['write', WRITE],
  ['readwrite', READ | WRITE],
  ['deny', DENY],
])

/** Spaces as C has them, and not those of other scripts: what Mosquitto strips. */
const END_OF_LINE = /[ \t\v\f\r]+$/
const BLANKS = /^[ \t\v\f]*/

/** A part of a line, and where it begins: from 0. */
interface Part {
  text: string
  at: number
}

/** Reads the text of an ACL file. Faults come all at once, in order; with one of them there is no ACL. */
export function parseAcl(text: string, file: string): { acl: Acl; warnings: AclFault[] } | { faults: AclFault[] } {
  const reader = new Reader()
  const faults: AclFault[] = []
  const warnings: AclFault[] = []
  for (const [index, content] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const place = (list: AclFault[]) => (at: number, message: string) =>
      list.push({ file, line: index + 1, column: at + 1, message })
    reader.read(content.replace(END_OF_LINE, ''), { fault: place(faults), warn: place(warnings) })
  }
  return faults.length > 0 ? { faults } : { acl: new Acl(reader), warnings }
}

interface Remarks {
  fault(at: number, message: string): void
  warn(at: number, message: string): void
}

class Reader {
  readonly anonymous: Rule[] = []
  readonly users = new Map<string, Rule[]>()
  readonly patterns: Rule[] = []
  /** Those that a `topic` line adds to. */
  #section = this.anonymous

  read(line: string, remarks: Remarks): void {
    if (line === '' || line.startsWith('#')) return
    const [word, rest] = firstWord(line, 0)
    if (word.text === 'user') this.#readUser(word, rest, remarks)
    else if (word.text === 'topic') this.#readRule(this.#section, word, rest, remarks)
    else if (word.text === 'pattern') this.#readRule(this.patterns, word, rest, remarks)
    else if (word.text.includes('\t')) remarks.fault(word.at, 'words are separated by spaces, not by tabs')
    else if (word.text.startsWith('#')) remarks.fault(word.at, "the '#' of a comment must be in the first column")
    else remarks.fault(word.at, `a line begins with topic, user, pattern or #, not with ${quoted(word.text)}`)
  }

  #readUser(word: Part, name: Part | undefined, { fault }: Remarks): void {
    if (name === undefined) {
      fault(endOf(word), "there is no user name after 'user'")
      // What follows is for somebody, but certainly not for the user before.
      this.#section = []
      return
    }
    this.#section = this.users.get(name.text) ?? []
    this.users.set(name.text, this.#section)
  }

  #readRule(section: Rule[], word: Part, rest: Part | undefined, { fault, warn }: Remarks): void {
    if (rest === undefined) {
      fault(endOf(word), `there is no topic filter after '${word.text}'`)
      return
    }
    const [first, second] = firstWord(rest.text, rest.at)
    if (first.text.includes('\t')) {
      fault(first.at, 'words are separated by spaces, not by tabs')
      return
    }
    const rights = second === undefined ? READ | WRITE : ACCESSES.get(first.text)
    if (rights === undefined) {
      const what = `${quoted(first.text)} is no access: it must be one of ${[...ACCESSES.keys()].join(', ')}`
      fault(first.at, `${what}, also before a topic filter with spaces`)
      return
    }
    const { text: filter, at } = second ?? first
    const wrong = topicFilterFault(filter, MAX_LEVELS)
    if (wrong !== undefined) {
      fault(at, wrong)
      return
    }
    section.push({ rights, filter })
    if (second === undefined && ACCESSES.has(filter)) {
      warn(at, `this grants readwrite to the topic '${filter}': is there a topic filter missing?`)
    }
    const doubt = doubtOf(filter, section === this.patterns)
    if (doubt !== undefined) warn(at, doubt)
  }
}

/** What the owner of the rule probably did not mean; undefined for nearly every rule. */
function doubtOf(filter: string, isPattern: boolean): string | undefined {
  if (!hasPlaceholder(filter)) {
    return isPattern ? 'a pattern without %c and %u is for every client alike' : undefined
  }
  if (!isPattern) return "%c and %u stand for names in 'pattern' lines only"
  const isPart = filter.split('/').some(level => hasPlaceholder(level) && level !== '%c' && level !== '%u')
  return isPart ? '%c and %u should be a whole level: Mosquitto 2.1 takes them for plain characters here' : undefined
}

/** The first word, which ends at a space, and what comes behind the spaces. */
function firstWord(text: string, offset: number): [Part, Part | undefined] {
  const start = text.search(/[^ ]/)
  const space = text.indexOf(' ', start)
  const end = space < 0 ? text.length : space
  const word = { text: text.slice(start, end), at: offset + start }
  const rest = text.slice(end)
  const skipped = end + (BLANKS.exec(rest)?.[0].length ?? 0)
  return [word, rest === '' ? undefined : { text: text.slice(skipped), at: offset + skipped }]
}

function endOf({ text, at }: Part): number {
  return at + text.length
}

function quoted(word: string): string {
  return JSON.stringify(word.length > MAX_QUOTED ? `${word.slice(0, MAX_QUOTED)}…` : word)
}
