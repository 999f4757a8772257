/**
 * An access control list as Mosquitto has it, ready to be asked for each message. The order of a check is
 * Mosquitto's: the rules of the client's own section, where what denies goes before what grants, wherever they
 * stand; if none of them decides, the patterns, likewise. So a `topic` that grants outweighs a `pattern` that denies.
 * What no rule grants is denied. Rules are looked up in trees: a check costs as much with 1,000 rules as with ten.
 */
import { splitShare } from '../mqtt/topics.ts'
import { examplesOf, intersection } from './acl-overlap.ts'
import { type AclClient, DENY, READ, type Rule, RuleTree, WRITE } from './acl-tree.ts'

export interface AclRules {
  /** For clients without a user name, or with an empty one. */
  readonly anonymous: readonly Rule[]
  readonly users: ReadonlyMap<string, readonly Rule[]>
  /** For every client; with placeholders. */
  readonly patterns: readonly Rule[]
}

/** What bridges say of themselves: the only topic of `$SYS` that a client may have the right to write. */
const BRIDGE_STATE = /^\$SYS\/broker\/connection\/[^/]*\/state$/

export class Acl {
  readonly #anonymous: RuleTree
  readonly #users: ReadonlyMap<string, RuleTree>
  readonly #patterns: RuleTree

  constructor({ anonymous, users, patterns }: AclRules) {
    this.#anonymous = new RuleTree(anonymous, { placeholders: false })
    this.#users = new Map([...users].map(([name, rules]) => [name, new RuleTree(rules, { placeholders: false })]))
    this.#patterns = new RuleTree(patterns, { placeholders: true })
  }

  /** True when the client may publish to `topic`. `$SYS` is the broker's own whatever the rules say, `$share` no topic. */
  mayPublish(client: AclClient, topic: string): boolean {
    if (topic.startsWith('$share') || (topic.startsWith('$SYS') && !BRIDGE_STATE.test(topic))) return false
    return this.#may(client, topic, WRITE)
  }

  /** True when a message with this topic may be given to the client. */
  mayReceive(client: AclClient, topic: string): boolean {
    return this.#may(client, topic, READ)
  }

  /**
   * True when the client may receive some of what `filter` matches, which may be that of a shared subscription. A
   * client that may read a part of a wide filter keeps it, and gets that part. Mosquitto grants every subscription.
   */
  maySubscribe(client: AclClient, filter: string): boolean {
    const wanted = (splitShare(filter)?.filter ?? filter).split('/')
    const section = this.#sectionOf(client)
    const depth = Math.max(section?.depth ?? 0, this.#patterns.depth) + 1
    for (const rules of [section, this.#patterns]) {
      for (const granted of rules?.readable(client) ?? []) {
        const common = intersection(granted, wanted)
        if (common === undefined) continue
        for (const topic of examplesOf(common, depth)) if (this.mayReceive(client, topic)) return true
      }
    }
    return false
  }

  #may(client: AclClient, topic: string, right: number): boolean {
    const own = this.#sectionOf(client)?.rightsTo(topic, client) ?? 0
    if ((own & DENY) !== 0) return false
    if ((own & right) !== 0) return true
    // A name that is a wildcard would match the places of others (CVE-2017-7650): Mosquitto gives such a client no pattern.
    if (hasWildcard(client.id) || (client.userName !== undefined && hasWildcard(client.userName))) return false
    const common = this.#patterns.rightsTo(topic, client)
    return (common & DENY) === 0 && (common & right) !== 0
  }

  #sectionOf({ userName = '' }: AclClient): RuleTree | undefined {
    return userName === '' ? this.#anonymous : this.#users.get(userName)
  }
}

function hasWildcard(name: string): boolean {
  return name.includes('+') || name.includes('#')
}
