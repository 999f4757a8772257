/**
 * The links to other brokers: bridges of ours, and clients that are bridges of others. Over several of them one message
 * may come several times; here it is taken once, and acknowledged to each that brings it.
 *
 * What its own clients publish, a gateway gives an identity (`identity.ts`) when a link wants it, and over MQTT 5 that goes
 * along. Where none came along, the content tells (`copies.ts`). Clients that are no links are asked nothing. A message
 * that links bring under different names is one under each of them, but never where it began.
 *
 * Of several bridges to the same upstream, the first by name carries what several would put on one topic there, and none
 * of them carries back to a topic what another brought from it.
 */
import type { SpoolWay } from '../bridge/ports.ts'
import { type Identity, isMarked, marked, markOf, newOrigin, renamingOf } from '../mqtt/identity.ts'
import { Accepted, Contents, SeenIdentities } from './copies.ts'
import type { Hub } from './hub.ts'
import type { Message, QueueTarget, Settlement } from './ports.ts'
import type { Session } from './session.ts'

/** Gateways that pass a message on which has no identity: far more than anybody builds in a row. */
const MAX_GATEWAYS = 16

/** Ways in which links may rename the messages of one origin; in a circle that renames there would be no end of them. */
const MAX_RENAMINGS = 8
/** Origins whose messages links have renamed that are remembered: those that started last. */
const MAX_RENAMED_ORIGINS = 1_000

/** How a message came that came by a link. */
export interface Source {
  /** Client identifier of the bridge's spool, or of the other's bridge. */
  readonly link: string
  /** The topic that it had at the upstream, when a bridge of ours brought it. */
  readonly topic?: string
}

/** `refused`: the store has no room for it. */
export type Arrival = 'taken' | 'known' | 'refused'

export class Links {
  readonly #hub: Hub
  readonly #origin = newOrigin()
  #number = 0
  readonly #seen = new SeenIdentities()
  readonly #contents: Contents
  /** Accepted with these identities, and not settled yet. */
  readonly #unsettled = new Map<string, Accepted>()
  readonly #sessions = new Set<Session>()
  /** By origin: in which ways its messages were renamed. */
  readonly #renamings = new Map<string, Set<string>>()
  /** Of our bridges, by the client identifiers of their spools. */
  readonly #ways = new Map<string, SpoolWay>()

  constructor(deps: { hub: Hub }) {
    this.#hub = deps.hub
    this.#contents = new Contents({ clock: deps.hub.clock })
  }

  /** A client is connected that is the bridge of another broker. */
  add(session: Session): void {
    this.#sessions.add(session)
  }

  delete(session: Session): void {
    this.#sessions.delete(session)
  }

  /** Where the spool `clientId` leads to. */
  setWay(clientId: string, way: SpoolWay): void {
    this.#ways.set(clientId, way)
  }

  deleteWay(clientId: string): void {
    this.#ways.delete(clientId)
  }

  /** Routes what came by a link, unless it is known. `settlement` is told in either case. */
  arrive(
    message: Message,
    source: Source,
    session: Session | null,
    settlement: Settlement | null,
    received?: { clientId: string; packetId: number },
  ): Arrival {
    const mark = markOf(message.forwarded)
    const { gateways, topic = source.topic ?? message.topic } = mark
    const identity = mark.identity === undefined ? undefined : this.#under(mark.identity, topic, message.topic)
    const accepted = new Accepted()
    const known =
      identity === undefined ? this.#knownByContent(message, source, gateways, accepted) : this.#known(identity)
    if (known !== undefined) {
      this.#hub.stats.copies++
      return this.#acknowledge(message, known, settlement, received)
    }
    const name = topic === message.topic ? undefined : topic
    const isInPlace = identity !== undefined && message.forwarded !== undefined && isMarked(message.forwarded)
    if (!isInPlace || mark.topic !== name) {
      message.forwarded = marked(message.forwarded, { identity: mark.identity, topic: name, gateways: gateways + 1 })
    }
    const key = identity === undefined ? undefined : keyOf(identity)
    if (identity !== undefined) this.#seen.add(identity)
    if (key !== undefined) this.#unsettled.set(key, accepted)
    const end = () => {
      if (key !== undefined) this.#unsettled.delete(key)
      accepted.settled()
    }
    const told: Settlement = {
      settled: () => {
        end()
        settlement?.settled()
      },
      refused: () => {
        if (identity === undefined) this.#contents.forget(message, accepted)
        else this.#seen.delete(identity)
        end()
        settlement?.refused()
      },
    }
    return this.#hub.route(message, session, told, received, source) ? 'taken' : 'refused'
  }

  /** The message leaves by a link. `isNamed`: its identity goes with it. `isRepeated`: it may have left before. */
  left(link: string, message: Message, isNamed: boolean, isRepeated: boolean): void {
    const isKnownThere = isNamed && message.forwarded !== undefined && markOf(message.forwarded).identity !== undefined
    if (!isKnownThere) this.#contents.left(link, message, isRepeated)
  }

  /**
   * Readies a message for links, if it goes to any: gives it an identity when it begins here. Returns those of
   * `targets` that it is for, or null when it has been here before: then it is for nobody.
   */
  depart(message: Message, targets: readonly QueueTarget[], source: Source | undefined): readonly QueueTarget[] | null {
    // Only links ask not to be sent what is theirs.
    const isWanted = this.#sessions.size > 0 || targets.some(wantsNothingBack)
    if (source === undefined && isWanted && !this.#begin(message)) return null
    return this.#ways.size > 0 && isWanted ? this.#chosen(message, targets, source) : targets
  }

  /** False when it says, and rightly, that it was here before: a client has carried it in a circle. */
  #begin(message: Message): boolean {
    const { identity } = markOf(message.forwarded)
    // What a client says is believed against itself only.
    if (identity !== undefined && (identity.origin === this.#origin || this.#seen.has(identity))) return false
    const begun = { origin: this.#origin, number: this.#number++ }
    message.forwarded = marked(message.forwarded, { identity: begun, gateways: 0 })
    return true
  }

  /** A message that was renamed is another one; for whom there are too many names, it is the one that began here. */
  #under({ origin, number }: Identity, topic: string, name: string): Identity {
    const renaming = renamingOf(topic, name)
    if (renaming === '' || origin === this.#origin) return { origin, number }
    const renamings = this.#renamings.get(origin) ?? new Set()
    if (renamings.size >= MAX_RENAMINGS && !renamings.has(renaming)) return { origin: this.#origin, number }
    this.#renamings.delete(origin)
    this.#renamings.set(origin, renamings.add(renaming))
    for (const oldest of this.#renamings.keys()) {
      if (this.#renamings.size <= MAX_RENAMED_ORIGINS) break
      this.#renamings.delete(oldest)
    }
    return { origin: `${origin} ${renaming}`, number }
  }

  #known(identity: Identity): Accepted | null | undefined {
    if (identity.origin === this.#origin) return null
    return this.#seen.has(identity) ? (this.#unsettled.get(keyOf(identity)) ?? null) : undefined
  }

  #knownByContent(
    message: Message,
    { link }: Source,
    gateways: number,
    accepted: Accepted,
  ): Accepted | null | undefined {
    if (gateways >= MAX_GATEWAYS) return null
    const known = this.#contents.came(link, message, accepted)
    return known === undefined ? undefined : (known.accepted ?? null)
  }

  #acknowledge(
    message: Message,
    known: Accepted | null,
    settlement: Settlement | null,
    received: { clientId: string; packetId: number } | undefined,
  ): Arrival {
    if (message.qos === 2) {
      // For nobody; but its packet identifier is recorded, behind what it is a copy of.
      const nothing = this.#hub.messageOf({ topic: message.topic, qos: 2 })
      return this.#hub.persistence.queues.accept(nothing, [], settlement, received) ? 'known' : 'refused'
    }
    if (known === null) settlement?.settled()
    else known.whenSettled(settlement)
    return 'known'
  }

  #chosen(message: Message, targets: readonly QueueTarget[], source: Source | undefined): readonly QueueTarget[] {
    const from = source?.topic === undefined ? undefined : this.#ways.get(source.link)
    const ways = targets.map(({ queue, owner = queue.clientId }) => {
      const way = this.#ways.get(owner)
      return way === undefined ? undefined : { owner, way, topic: way.topicOf(message.topic) }
    })
    return targets.filter((_target, at) => {
      const mine = ways[at]
      if (mine?.topic === undefined) return true
      if (from !== undefined && source?.topic === mine.topic && isSame(from, mine.way)) return false
      return !ways.some(
        other =>
          other !== undefined && other.owner < mine.owner && other.topic === mine.topic && isSame(other.way, mine.way),
      )
    })
  }
}

function wantsNothingBack({ grants }: QueueTarget): boolean {
  return grants.own === null
}

/** Two bridges lead to the same upstream. */
function isSame(one: SpoolWay, other: SpoolWay): boolean {
  return one.places.some(place => other.places.includes(place))
}

function keyOf({ origin, number }: Identity): string {
  return `${origin} ${number}`
}
