/**
 * Rules of one section of an ACL, found by topic name, level by level. A level with a placeholder (`%c` the client
 * identifier, `%u` the user name) matches what the client puts there. Names never widen a rule: a name is compared
 * with one level of the topic, so one that holds '/' matches none, and one that is a wildcard is only its character
 * (`Acl` refuses those altogether). What denies is taken as wide as it can be read, what grants as narrow.
 */
import { LevelNode, makeNode } from '../mqtt/level-tree.ts'
import { filterMatches, isDollarTopic, levelEnd } from '../mqtt/topics.ts'

/** Whom a rule is applied to. */
export interface AclClient {
  readonly id: string
  /** Undefined or empty: the client is anonymous. */
  readonly userName: string | undefined
}

/** Bits; a rule has one or two of them, several rules together may have all. */
export const READ = 1
export const WRITE = 2
export const DENY = 4

export interface Rule {
  readonly rights: number
  readonly filter: string
}

type Node = LevelNode<number>

const PLACEHOLDERS = /%[cu]/g

export class RuleTree {
  readonly #root: Node = new LevelNode('', undefined)
  /** What lets read, as levels. */
  readonly #readable: readonly (readonly string[])[]
  /** The levels with placeholders, each once: nearly always '%c' and '%u'. Empty for rules that have none. */
  readonly #templates: ReadonlySet<string>
  /** What denies and has placeholders. */
  readonly #denials: readonly string[]
  /** Levels of the deepest rule. */
  readonly depth: number

  constructor(rules: readonly Rule[], options: { placeholders: boolean }) {
    for (const { filter, rights } of rules) {
      const node = makeNode(this.#root, filter)
      node.content = (node.content ?? 0) | rights
    }
    const levels = rules.map(({ filter }) => filter.split('/'))
    this.#readable = levels.filter((_, i) => ((rules[i]?.rights ?? 0) & READ) !== 0)
    this.depth = levels.reduce((deepest, { length }) => Math.max(deepest, length), 0)
    this.#templates = new Set(options.placeholders ? levels.flat().filter(level => hasPlaceholder(level)) : [])
    const denials = rules.filter(({ rights, filter }) => rights === DENY && hasPlaceholder(filter))
    this.#denials = options.placeholders ? denials.map(({ filter }) => filter) : []
  }

  /** The bits of all rules that match `topic`. */
  rightsTo(topic: string, client: AclClient): number {
    const rights = this.#rightsBelow(this.#root, topic, 0, client)
    // A name of several levels grants nothing, but what denies holds for the topics that it spells.
    if (this.#denials.length > 0 && (client.id.includes('/') || client.userName?.includes('/') === true)) {
      for (const denial of this.#denials) {
        const filter = substituted(denial, client)
        if (filter !== undefined && filterMatches(filter, topic)) return DENY
      }
    }
    return rights
  }

  /** The filters that let the client read, as levels; what denies is not looked at. */
  *readable(client: AclClient): Generator<readonly string[]> {
    for (const levels of this.#readable) {
      const filled = this.#templates.size === 0 ? levels : this.#filled(levels, client)
      if (filled !== undefined) yield filled
    }
  }

  /** The levels of a pattern that grants, with the client's names; undefined when it grants nothing to this client. */
  #filled(levels: readonly string[], client: AclClient): readonly string[] | undefined {
    const filled: string[] = []
    for (const level of levels) {
      const text = this.#templates.has(level) ? substituted(level, client) : level
      if (text === undefined || text.includes('/')) return undefined
      if (filled.length === 0 && startsWithPlaceholder(level) && isDollarTopic(text)) return undefined
      filled.push(text)
    }
    return filled
  }

  /** The bits of what is below `node` and matches the levels of `topic` from `start` on. Goes no deeper than the rules. */
  #rightsBelow(node: Node, topic: string, start: number, client: AclClient): number {
    const { children } = node
    // 'sport/#' matches 'sport' too.
    if (start > topic.length) return (node.content ?? 0) | (children?.get('#')?.content ?? 0)
    if (children === undefined) return 0
    const end = levelEnd(topic, start)
    const level = topic.slice(start, end)
    let rights = 0
    const named = children.get(level)
    if (named !== undefined && !this.#templates.has(level)) rights |= this.#rightsBelow(named, topic, end + 1, client)
    // [MQTT-4.7.2-1] Wildcards stand for no first level that begins with '$'.
    const isOpen = start > 0 || !isDollarTopic(topic)
    for (const template of this.#templates) {
      const child = children.get(template)
      if (child === undefined || substituted(template, client) !== level) continue
      const below = this.#rightsBelow(child, topic, end + 1, client)
      // Nor is a client given $SYS for calling itself so.
      rights |= isOpen || !startsWithPlaceholder(template) ? below : below & DENY
    }
    if (!isOpen) return rights
    const plus = children.get('+')
    if (plus !== undefined) rights |= this.#rightsBelow(plus, topic, end + 1, client)
    return rights | (children.get('#')?.content ?? 0)
  }
}

export function hasPlaceholder(text: string): boolean {
  return text.includes('%c') || text.includes('%u')
}

/** `text` with the client's names; undefined when it asks for one that the client does not have. Names are not looked into. */
function substituted(text: string, { id, userName = '' }: AclClient): string | undefined {
  if (text === '%c') return id === '' ? undefined : id
  if (text === '%u') return userName === '' ? undefined : userName
  let isMissing = false
  const filled = text.replace(PLACEHOLDERS, placeholder => {
    const name = placeholder === '%c' ? id : userName
    isMissing ||= name === ''
    return name
  })
  return isMissing ? undefined : filled
}

function startsWithPlaceholder(template: string): boolean {
  return template.startsWith('%c') || template.startsWith('%u')
}
