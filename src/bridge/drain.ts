/**
 * Empties the spools into one connection: takes messages while the window and the rate have room, sends them in order, and
 * takes each out of its spool when the upstream has acknowledged it. What the upstream will not take goes to the dead letters.
 *
 * A message is taken, mapped, wrapped, gathered or compressed as its rule says (`parcels.ts`), given its packet identifier,
 * and sent. Where that takes a while, its spool waits, so that nothing overtakes.
 */
import type { Message } from '../broker/ports.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { Batches } from './batches.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { Echoes } from './echoes.ts'
import type { UpstreamLimits } from './limits.ts'
import { Outgoing } from './outgoing.ts'
import { batchOf, compressed, lengthOf, type Parcel, parcelOf } from './parcels.ts'
import type { BridgeBroker, BridgeRule } from './ports.ts'
import type { RateLimit } from './rate.ts'
import { localRouteOf, type Route, routeOf } from './remap.ts'
import type { Taken } from './spool.ts'
import type { Spools } from './spools.ts'
import type { Suspicion } from './suspicion.ts'
import type { Upstream } from './upstream.ts'
import { type Origin, wrapped } from './wrapping.ts'

/** Milliseconds without any acknowledgement, or with the same message as the oldest, although all is sent, before the connection is given up: enough for the largest packet at 20 kB/s. */
const ACK_TIMEOUT = 120_000
/** Milliseconds between two looks at that. */
const ACK_CHECK_INTERVAL = 10_000
/** Messages taken from the spools in one turn of the event loop, so that a long backlog does not hold up the home. */
const TURN_LIMIT = 64
/** Bytes of payloads sent and not acknowledged, however many messages the window has room for; one is always sent. */
const MAX_INFLIGHT_BYTES = 16 * 1024 * 1024
/** Bytes that the length of a packet takes, at most (MQTT 3.1.1 §2.2.3). */
const LENGTH_BYTES = 4

/** Counts of messages since the start; they outlive the connection. */
export interface DrainCounts {
  sent: number
  unmapped: number
  expired: number
}

export interface DrainDependencies {
  readonly spools: Spools
  /** The bridge's own. */
  readonly clientId: string
  /** Name of this gateway. */
  readonly gateway: string
  readonly rules: { readonly out: readonly BridgeRule[]; readonly in: readonly BridgeRule[] }
  readonly maxInflight: number
  readonly rate: RateLimit
  readonly broker: BridgeBroker
  readonly echoes: Echoes
  readonly deadLetters: DeadLetters
  readonly suspicion: Suspicion
  readonly counts: DrainCounts
  readonly clock: Clock
  readonly log: Log
  /** CONNACK has come, and nothing behind it was looked at. */
  readonly onSession: () => void
  /** Ends the connection for a reason that is no fault of the messages in flight. */
  readonly end: (error: Error) => void
}

export class Drain {
  readonly outgoing: Outgoing
  /** Messages acknowledged on this connection. */
  acknowledged = 0
  readonly #deps: DrainDependencies
  readonly #batches: Batches
  #upstream: Upstream | undefined
  #woken = false
  /** Parcels that are being made ready. */
  #readying = 0
  #ackTimer: Timer | undefined
  #rateTimer: Timer | undefined
  /** Monotonic time since which an acknowledgement has been due. */
  #ackDueSince = 0
  /** What was in flight for longest at the last look, and the monotonic time at which it first was. */
  #oldest: { readonly taken: Taken | undefined; readonly since: number } = { taken: undefined, since: 0 }

  constructor(deps: DrainDependencies) {
    this.#deps = deps
    this.outgoing = new Outgoing({ onSession: deps.onSession })
    this.#batches = new Batches({
      clock: deps.clock,
      ship: ({ members, texts, route }) => {
        const limits = this.#upstream?.limits
        if (limits !== undefined) this.#ship(batchOf(members, texts, route, limits), limits)
      },
    })
  }

  /** The spools are ours from now on: messages are taken from them. */
  open(upstream: Upstream): void {
    this.#upstream = upstream
    this.outgoing.allowAliases(upstream.limits?.topicAliasMaximum ?? 0)
    this.#ackTimer = this.#deps.clock.every(ACK_CHECK_INTERVAL, () => this.#checkAcks())
    this.#deps.spools.attach(() => this.#wake())
    this.#wake()
  }

  /** The connection is gone. */
  close(): void {
    this.outgoing.close()
    this.#batches.clear()
    this.#ackTimer?.cancel()
    this.#rateTimer?.cancel()
    if (this.#upstream !== undefined) this.#deps.spools.detach()
    this.#upstream = undefined
  }

  /** Sets aside what the upstream does not take, and goes on behind it. */
  bury({ spool, delivery }: Taken, reason: string): void {
    const { deadLetters, suspicion } = this.#deps
    const upstream = this.#upstream
    deadLetters.bury(delivery, reason).then(
      () => {
        spool.remove(delivery)
        suspicion.clear()
        this.#wake()
      },
      error => upstream?.cut(error),
    )
  }

  /** Pumps once in the next turn of the event loop, however many acknowledgements and messages this turn brings. */
  #wake(): void {
    if (this.#woken) return
    this.#woken = true
    setImmediate(() => {
      this.#woken = false
      this.#pump()
    })
  }

  #pump(): void {
    const upstream = this.#upstream
    const limits = upstream?.limits
    if (upstream === undefined || limits === undefined) return
    for (let taken = 0; upstream.ready && this.#hasRoom(limits); taken++) {
      if (taken === TURN_LIMIT) {
        this.#wake()
        return
      }
      const { pause } = this.#deps.rate
      if (pause > 0) {
        this.#rateTimer?.cancel()
        this.#rateTimer = this.#deps.clock.after(pause, () => this.#wake())
        return
      }
      const next = this.#deps.spools.take()
      if (next === undefined) return
      this.#handle(next, upstream, limits)
    }
  }

  /** [MQTT-4.9.0-2] */
  #hasRoom({ receiveMaximum }: UpstreamLimits): boolean {
    const window = this.#deps.suspicion.isOn ? 1 : Math.min(this.#deps.maxInflight, receiveMaximum)
    const size = this.outgoing.size + this.#readying
    return size < window && (size === 0 || this.outgoing.bytes < MAX_INFLIGHT_BYTES)
  }

  #handle(taken: Taken, upstream: Upstream, limits: UpstreamLimits): void {
    const { rules, counts, suspicion } = this.#deps
    const { spool, delivery } = taken
    const { message, dup, released } = delivery
    const route = routeOf(rules.out, message.topic)
    if (route === undefined) {
      this.#dropUnmapped(taken)
      return
    }
    if (released !== undefined && limits.sessionPresent) {
      this.#resume(taken, upstream)
      return
    }
    const { batch } = route.rule
    const left = this.#secondsLeft(message)
    // [MQTT-3.3.2-5] What was begun is finished: a message that may be there already is sent again.
    if (left !== undefined && left <= 0 && (!dup || batch !== undefined)) {
      counts.expired++
      spool.remove(delivery)
      return
    }
    const origin = this.#originOf(taken)
    if (batch === undefined) {
      // [MQTT-3.3.2-6]
      const terms = { limits, origin, ...(left === undefined ? {} : { left: Math.max(0, left) }) }
      this.#ship(parcelOf(taken, route, terms), limits)
      return
    }
    const there: Route = { ...route, topic: batch.topic }
    const room = limits.maximumPacketSize - lengthOf(batchOf([taken], [], there, limits)) - LENGTH_BYTES
    this.#batches.add(taken, wrapped(message, origin), there, { room, isAlone: suspicion.isOn })
  }

  #secondsLeft({ expiresAt }: Message): number | undefined {
    return expiresAt === undefined ? undefined : Math.ceil((expiresAt - this.#deps.broker.now()) / 1000)
  }

  /** By the wall clock as it is now: it may not have been set when the message came. */
  #originOf({ delivery: { acceptedAt } }: Taken): Origin {
    const { clock, broker, gateway } = this.#deps
    const age = acceptedAt === undefined ? 0 : broker.now() - acceptedAt
    return { time: Math.round(clock.wall() - age), gateway }
  }

  /** [MQTT-4.4.0-1] */
  #resume(taken: Taken, upstream: Upstream): void {
    const { client } = upstream
    this.#noteDue()
    this.outgoing.claim(taken, packetId => {
      if (client !== undefined) this.outgoing.resume(client, taken, packetId, this.#outcomeOf([taken], upstream))
    })
  }

  #ship(parcel: Parcel, limits: UpstreamLimits): void {
    const upstream = this.#upstream
    const [first] = parcel.members as [Taken]
    const { spool } = first
    this.#deps.rate.spend()
    this.#readying++
    spool.holds++
    const end = () => {
      this.#readying--
      spool.holds--
      this.#wake()
    }
    compressed(parcel, small => {
      if (upstream === undefined || upstream !== this.#upstream) return
      if (lengthOf(small) > limits.maximumPacketSize) {
        end()
        const reason = `it is larger than the ${limits.maximumPacketSize} bytes that the upstream takes`
        for (const member of small.members) this.bury(member, reason)
        return
      }
      this.#noteDue()
      const send = (packetId?: number) => {
        end()
        this.#send(small, packetId, upstream, limits)
      }
      if (small.route.qos === 0) send()
      else this.outgoing.claim(first, send)
    })
  }

  #send(parcel: Parcel, packetId: number | undefined, upstream: Upstream, limits: UpstreamLimits): void {
    const { rules, echoes, broker, clientId } = this.#deps
    const { route, payload, members, isPlain, dup } = parcel
    const { client } = upstream
    if (client === undefined) return
    if (limits.sendsBack && localRouteOf(rules.in, route.topic) !== undefined) echoes.expect(route.topic, payload)
    const [{ delivery }] = members as [Taken]
    // What was put into something else comes back, if it does, as something else.
    if (isPlain) broker.left(clientId, delivery.message, limits.version === 5, dup)
    this.outgoing.send(client, parcel, packetId, this.#outcomeOf(members, upstream))
  }

  #outcomeOf(members: readonly Taken[], upstream: Upstream) {
    return {
      done: () => this.#done(members),
      refused: (code: number) => this.#refused(members, upstream, code),
    }
  }

  /** An acknowledgement is due from now on, if none is yet. */
  #noteDue(): void {
    if (this.outgoing.size === 0) this.#ackDueSince = this.#deps.clock.monotonic()
  }

  #done(members: readonly Taken[]): void {
    const { counts, suspicion, clock } = this.#deps
    this.#ackDueSince = clock.monotonic()
    for (const { spool, delivery } of members) spool.remove(delivery)
    suspicion.clear()
    this.acknowledged += members.length
    counts.sent += members.length
    this.#wake()
  }

  #refused(members: readonly Taken[], upstream: Upstream, code: number): void {
    this.#ackDueSince = this.#deps.clock.monotonic()
    // It will take it later: the pause before the next connection is what slows us down.
    if (code === ReasonCode.QUOTA_EXCEEDED) {
      this.#deps.end(new Error(`${upstream.place} takes no more now (0x97)`))
      return
    }
    for (const member of members) this.bury(member, `the upstream refuses it with reason code 0x${code.toString(16)}`)
  }

  /** A rule was taken out of the configuration while its messages waited, or maps to what is no topic name. */
  #dropUnmapped({ spool, delivery }: Taken): void {
    const { counts, log } = this.#deps
    if (counts.unmapped === 0) {
      log.warn({ topic: delivery.message.topic }, 'bridge removes messages that none of its rules maps')
    }
    counts.unmapped++
    spool.remove(delivery)
  }

  /** An upstream that answers pings but does not acknowledge, or not this one, would hold it up for ever. */
  #checkAcks(): void {
    const upstream = this.#upstream
    const now = this.#deps.clock.monotonic()
    const { oldest } = this.outgoing
    if (oldest !== this.#oldest.taken) this.#oldest = { taken: oldest, since: now }
    if (upstream === undefined || oldest === undefined || upstream.unsent > 0) return
    const isSilent = now - this.#ackDueSince >= ACK_TIMEOUT
    if (!isSilent && now - this.#oldest.since < ACK_TIMEOUT) return
    const what = isSilent ? 'anything' : 'a message'
    upstream.cut(new Error(`${upstream.place} has not acknowledged ${what} for ${ACK_TIMEOUT / 1000} s`))
  }
}
