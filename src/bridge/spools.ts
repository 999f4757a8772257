/**
 * What waits for a bridge: its spools, and whose turn it is. First comes again what an earlier connection had in flight:
 * packet identifiers in use at the upstream must be known before others are given away [MQTT-4.4.0-1]. Then spools of an
 * older generation are emptied, then those of high priority, and so on. Of two of one priority, the one whose messages an
 * outage thins holds what is fresh: while there is a backlog in the other it has a share of what is sent.
 */
import type { SessionQueue } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { type Lane, laneFilters, laneOf, laneOfRule, mayMove, PRIORITIES, suffixOf } from './lanes.ts'
import type { BridgeBroker, BridgeRule, SpoolRequest, SpoolWay } from './ports.ts'
import { routeOf } from './remap.ts'
import { Spool, type Taken } from './spool.ts'
import { Thinning } from './thinning.ts'

export class Spools {
  readonly #broker: BridgeBroker
  readonly #clientId: string
  readonly #rules: readonly BridgeRule[]
  readonly #way: SpoolWay | undefined
  /** Percent. */
  readonly #share: number
  readonly #clock: Clock
  readonly #log: Log
  readonly #thinnings = new Map<Spool, Thinning>()
  /** Of spools that have gone. */
  readonly #gone = { dropped: 0, expired: 0, thinned: 0 }
  /** In the order in which they are served; one or two of one generation and priority. */
  #groups: Spool[][] = []
  #generation = 0
  /** Client identifiers of the spools that collect. */
  readonly #collecting = new Set<string>()
  /** Those whose messages that were in flight are not all taken again. */
  #repeating = new Set<Spool>()
  #credit = 0

  constructor(deps: {
    broker: BridgeBroker
    /** The bridge's own. */
    clientId: string
    /** Those that carry out. */
    rules: readonly BridgeRule[]
    way?: SpoolWay | undefined
    /** Percent of what is sent that fresh messages may have while there is a backlog. */
    share: number
    clock: Clock
    log: Log
  }) {
    this.#broker = deps.broker
    this.#clientId = deps.clientId
    this.#rules = deps.rules
    this.#way = deps.way
    this.#share = deps.share
    this.#clock = deps.clock
    this.#log = deps.log
  }

  get all(): Spool[] {
    return this.#groups.flat()
  }

  /** Messages that wait, or are sent and not acknowledged. */
  get count(): number {
    return sum(this.all, ({ queue }) => queue.count)
  }

  get bytes(): number {
    return sum(this.all, ({ queue }) => queue.bytes ?? 0)
  }

  /** Messages that a limit pushed out. */
  get dropped(): number {
    return this.#gone.dropped + sum(this.all, ({ queue }) => queue.losses?.dropped ?? 0)
  }

  get expired(): number {
    return this.#gone.expired + sum(this.all, ({ queue }) => queue.losses?.expired ?? 0)
  }

  /** Messages removed because an outage leaves newer ones of their topics. */
  get thinned(): number {
    return this.#gone.thinned + sum([...this.#thinnings.values()], ({ count }) => count)
  }

  get clientIds(): string[] {
    return this.all.map(({ queue }) => queue.clientId)
  }

  /** Resolves when the spools collect what the rules choose. */
  async open(): Promise<void> {
    const wanted = laneFilters(this.#rules)
    const known = (await this.#broker.spools(this.#clientId)).flatMap(spool => {
      const lane = laneOf(spool.clientId.slice(this.#clientId.length))
      return lane === undefined ? [] : [{ ...spool, lane }]
    })
    const last = Math.max(0, ...known.map(({ lane }) => lane.generation))
    const current = known.filter(({ lane }) => lane.generation === last)
    // Also when nothing waits: something may come before it is so.
    const isNew = current.some(({ filters }) => filters.length > 0) && mayMove(current, wanted)
    this.#generation = isNew ? last + 1 : last
    const requests = new Map<string, { lane: Lane; request: SpoolRequest }>()
    const request = (lane: Lane, filters: SpoolRequest['filters']) => {
      const clientId = this.#clientId + suffixOf(lane)
      requests.set(clientId, { lane, request: { clientId, filters } })
    }
    for (const { lane } of known) request(lane, [])
    // The bridge's own session also knows what the upstream has sent: it is always there.
    request({ generation: 0, priority: 'normal', isThin: false }, [])
    for (const { lane: each, filters } of wanted) {
      const lane = { ...each, generation: this.#generation }
      this.#collecting.add(this.#clientId + suffixOf(lane))
      request(lane, filters)
    }
    const all = [...requests.values()]
    const queues = await this.#broker.openSpools(
      all.map(each => each.request),
      this.#way,
    )
    const spools = all.map(({ lane }, at) => new Spool(lane, queues[at] as SessionQueue))
    this.#arrange(spools)
    const spanOf = (topic: string) => routeOf(this.#rules, topic)?.rule.onBacklog ?? 0
    for (const spool of spools) {
      if (!spool.lane.isThin) continue
      this.#thinnings.set(spool, new Thinning({ queue: spool.queue, spanOf, clock: this.#clock, log: this.#log }))
    }
  }

  /** The upstream is away. To be called about every second. */
  look(): void {
    for (const thinning of this.#thinnings.values()) thinning.look()
  }

  /** The upstream is back: calls `done`, now or soon, when no more is left than an outage is to leave. */
  ready(done: () => void): void {
    const thinnings = [...this.#thinnings.values()]
    if (thinnings.length === 0) done()
    else void Promise.all(thinnings.map(thinning => thinning.finish())).then(done)
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#thinnings.values(), thinning => thinning.stop()))
  }

  /** A connection stands: what was taken before comes again. */
  attach(onReady: () => void): void {
    this.#repeating = new Set(this.all)
    for (const spool of this.all) spool.attach(onReady)
  }

  detach(): void {
    for (const { queue } of this.all) queue.detach()
  }

  /** The next message to send; undefined when there is none now. */
  take(): Taken | undefined {
    return this.#repeating.size > 0 ? this.#takeAgain() : this.#takeNext()
  }

  /** Spools that collect no more, and are empty, go. */
  async tidy(): Promise<void> {
    for (const { queue } of this.all) {
      const { clientId, count } = queue
      // The bridge's own session knows more than what waits.
      if (this.#collecting.has(clientId) || count > 0 || clientId === this.#clientId) continue
      this.#forget(queue)
      await this.#broker.discardSpool(queue.clientId)
    }
  }

  /** Where a message of this rule waits. */
  spoolOf(rule: BridgeRule | undefined): SessionQueue {
    const { priority, isThin } = laneOfRule(rule ?? { filter: '', qos: 1 })
    const isIt = ({ lane }: Spool) =>
      lane.generation === this.#generation && lane.priority === priority && lane.isThin === isThin
    return (this.all.find(isIt) ?? (this.all.at(-1) as Spool)).queue
  }

  #forget(queue: SessionQueue): void {
    this.#arrange(this.all.filter(spool => spool.queue !== queue))
    this.#gone.dropped += queue.losses?.dropped ?? 0
    this.#gone.expired += queue.losses?.expired ?? 0
    for (const [spool, thinning] of this.#thinnings) {
      if (spool.queue !== queue) continue
      this.#gone.thinned += thinning.count
      this.#thinnings.delete(spool)
    }
  }

  #arrange(spools: readonly Spool[]): void {
    const rank = ({ lane }: Spool) => lane.generation * PRIORITIES.length + PRIORITIES.indexOf(lane.priority)
    const groups = new Map<number, Spool[]>()
    const inOrder = spools.toSorted((a, b) => rank(a) - rank(b) || Number(a.lane.isThin) - Number(b.lane.isThin))
    for (const spool of inOrder) groups.set(rank(spool), [...(groups.get(rank(spool)) ?? []), spool])
    this.#groups = [...groups.values()]
  }

  #takeAgain(): Taken | undefined {
    for (const spool of this.#repeating) {
      const delivery = spool.peek()
      if (delivery?.dup === true) return spool.take()
      // It is being read: new messages may not come before what is there.
      if (delivery === undefined && spool.hasMore && (spool.isAsked || spool.holds > 0)) return undefined
      this.#repeating.delete(spool)
    }
    return this.#takeNext()
  }

  #takeNext(): Taken | undefined {
    let oldest = this.#generation
    for (const group of this.#groups) {
      const [first] = group as [Spool]
      if (first.lane.generation > oldest) return undefined
      const taken = this.#takeFrom(group)
      if (taken !== undefined) return taken
      if (group.some(({ isAwaited, hasMore, holds }) => holds > 0 || (isAwaited && hasMore))) return undefined
      if (group.some(({ hasMore }) => hasMore)) oldest = Math.min(oldest, first.lane.generation)
    }
    return undefined
  }

  #takeFrom([one, other]: Spool[]): Taken | undefined {
    if (other === undefined) return one?.take()
    const [backlog, fresh] = [one as Spool, other]
    if (!backlog.hasMore || !fresh.hasMore) return backlog.take() ?? fresh.take()
    this.#credit += this.#share
    if (this.#credit < 100) return backlog.take() ?? fresh.take()
    this.#credit -= 100
    return fresh.take() ?? backlog.take()
  }
}

function sum<T>(all: readonly T[], of: (each: T) => number): number {
  return all.reduce((total, each) => total + of(each), 0)
}
