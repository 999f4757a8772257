/**
 * Gateways joined by links in any way, everything carried everywhere: each message comes to each gateway once, and
 * everything that is owed an acknowledgement gets one. Which link moves next is drawn; nothing here has a clock of its own.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Hub } from '../../../src/broker/hub.ts'
import { Links, type Source } from '../../../src/broker/links.ts'
import type { QueueTarget, Settlement } from '../../../src/broker/ports.ts'
import { newStats } from '../../../src/broker/stats.ts'
import { unmarked } from '../../../src/mqtt/identity.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { ManualClock } from '../../support/manual-clock.ts'

type Version = 5 | 4

/** One direction of a link. */
interface Lane {
  readonly link: string
  readonly from: Gateway
  readonly to: Gateway
  /** At the sender, then under way. */
  readonly spool: Message[]
  readonly wire: Message[]
}

class Gateway {
  readonly links: Links
  readonly heard: string[] = []
  readonly lanes: Lane[] = []
  readonly unsettled: Settlement[] = []

  constructor(clock: ManualClock) {
    const route = (
      message: Message,
      _session: null,
      settlement: Settlement | null,
      _received: undefined,
      source?: Source,
    ) => {
      const grants = { others: { qos: 1, rap: true, subscriptionIdentifiers: undefined }, own: null }
      const targets = this.lanes.map(({ link }) => ({ queue: { clientId: link }, grants, isShared: false }))
      const wanted = this.links.depart(message, targets as unknown as QueueTarget[], source)
      if (wanted !== null) {
        this.heard.push(`${message.topic} ${message.payload}`)
        expect(unmarked(message.forwarded)).toBeUndefined()
        for (const { queue } of wanted) {
          if (queue.clientId === source?.link) continue
          this.lanes.find(({ link }) => link === queue.clientId)?.spool.push(message)
        }
      }
      if (settlement !== null) this.unsettled.push(settlement)
      return true
    }
    this.links = new Links({ hub: { clock, route, stats: newStats() } as unknown as Hub })
    this.publish = (topic, payload) => route(publication(topic, payload), null, null, undefined)
  }

  readonly publish: (topic: string, payload: string) => void
}

function publication(topic: string, payload: string): Message {
  return Message.of({ topic, payload: Buffer.from(payload), qos: 1, retain: false })
}

class World {
  readonly gateways: Gateway[]
  readonly #lanes: Lane[] = []
  readonly #version: Version
  owed = 0
  acknowledged = 0

  constructor(count: number, edges: readonly (readonly [number, number])[], version: Version) {
    const clock = new ManualClock()
    this.#version = version
    this.gateways = Array.from({ length: count }, () => new Gateway(clock))
    for (const [at, [left, right]] of edges.entries()) {
      const ends = [this.gateways[left % count], this.gateways[right % count]] as [Gateway, Gateway]
      if (ends[0] === ends[1]) continue
      this.#add(`link ${at}`, ends[0], ends[1])
      this.#add(`link ${at}`, ends[1], ends[0])
    }
  }

  #add(link: string, from: Gateway, to: Gateway): void {
    const lane = { link, from, to, spool: [], wire: [] }
    this.#lanes.push(lane)
    from.lanes.push(lane)
  }

  /** Whom a message of this gateway reaches. */
  reach(from: Gateway): Set<Gateway> {
    const reached = new Set([from])
    for (const gateway of reached) for (const { to } of gateway.lanes) reached.add(to)
    return reached
  }

  /** Does one thing that may happen now, the so-manieth. False when nothing is left to happen. */
  step(draw: number): boolean {
    const moves: (() => void)[] = []
    for (const lane of this.#lanes) {
      if (lane.spool.length > 0) moves.push(() => this.#send(lane))
      if (lane.wire.length > 0) moves.push(() => this.#arrive(lane))
    }
    for (const gateway of this.gateways) {
      if (gateway.unsettled.length > 0) moves.push(() => gateway.unsettled.shift()?.settled())
    }
    moves[draw % moves.length]?.()
    return moves.length > 0
  }

  #send(lane: Lane): void {
    const message = lane.spool.shift() as Message
    lane.from.links.left(lane.link, message, this.#version === 5, false)
    lane.wire.push(message)
  }

  #arrive({ link, to, wire }: Lane): void {
    const { topic, payload, forwarded } = wire.shift() as Message
    const arrived = Message.of({
      topic,
      payload,
      qos: 1,
      retain: false,
      clientId: link,
      forwarded: this.#version === 5 ? forwarded : undefined,
    })
    this.owed++
    const settlement = { settled: () => void this.acknowledged++, refused: () => expect.unreachable() }
    to.links.arrive(arrived, { link }, null, settlement)
  }
}

const edge = fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 4 }))

for (const version of [5, 4] as const) {
  test(`MQTT ${version === 5 ? '5' : '3.1.1'}: once everywhere, also what is published twice`, {
    timeout: 60_000,
  }, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 5 }),
        fc.array(edge, { minLength: 1, maxLength: 8 }),
        // Few payloads, so that many are the same. MQTT 3.1.1 cannot tell those of two gateways apart, so each has a topic.
        fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 1 }), fc.nat({ max: 6 })), { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(fc.nat({ max: 1000 })),
        (count, edges, publications, draws) => {
          const world = new World(count, edges, version)
          const draw = () => draws.next().value as number
          for (const [at, payload, steps] of publications) {
            const gateway = world.gateways[at % count] as Gateway
            gateway.publish(version === 5 ? 'same' : `topic ${at % count}`, `${payload}`)
            for (let step = 0; step < steps; step++) world.step(draw())
          }
          let steps = 0
          while (world.step(draw())) expect(steps++).toBeLessThan(20_000)
          for (const gateway of world.gateways) {
            const expected = publications
              .filter(([at]) => world.reach(world.gateways[at % count] as Gateway).has(gateway))
              .map(([at, payload]) => `${version === 5 ? 'same' : `topic ${at % count}`} ${payload}`)
            expect(gateway.heard.toSorted()).toEqual(expected.toSorted())
          }
          expect(world.acknowledged).toBe(world.owed)
        },
      ),
      { numRuns: 500 },
    )
  })
}
