/** What a bridge counts, and what it says of itself. */
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { DrainCounts } from './drain.ts'
import type { IncomingCounts } from './incoming.ts'
import type { BridgeBroker, BridgeState, BridgeStatus } from './ports.ts'
import { Progress } from './progress.ts'
import { RateMeter } from './rate.ts'
import type { Spools } from './spools.ts'

/** What only the bridge knows. */
export type Situation = Pick<BridgeState, 'connected' | 'paused' | 'since' | 'lastError' | 'dead'>

export class Bookkeeping {
  readonly counts: IncomingCounts & DrainCounts = { received: 0, ignored: 0, sent: 0, unmapped: 0, expired: 0 }
  readonly progress: Progress
  readonly #broker: BridgeBroker
  readonly #spools: Spools
  readonly #out: RateMeter
  readonly #in: RateMeter

  constructor(deps: { broker: BridgeBroker; spools: Spools; clock: Clock; log: Log }) {
    const { clock, log, spools } = deps
    this.#broker = deps.broker
    this.#spools = spools
    this.#out = new RateMeter({ clock, total: () => this.counts.sent })
    this.#in = new RateMeter({ clock, total: () => this.counts.received })
    this.progress = new Progress({ clock, log, waiting: () => spools.count, sent: () => this.counts.sent })
  }

  /** To be called about every second. */
  look(): void {
    this.#out.look()
    this.#in.look()
    this.progress.look()
  }

  statusOf({ connected }: Pick<Situation, 'connected'>): BridgeStatus {
    const { sent, unmapped } = this.counts
    return { connected, waiting: this.#spools.count, sent, unmapped }
  }

  stateOf({ connected, paused, since, lastError, dead }: Situation): BridgeState {
    const { received, ignored, expired } = this.counts
    const { bytes, dropped, thinned, clientIds } = this.#spools
    return {
      ...this.statusOf({ connected }),
      paused,
      since,
      received,
      ignored,
      dead,
      lastError,
      bytes,
      oldest: this.#broker.oldest(clientIds),
      rateOut: this.#out.perSecond,
      rateIn: this.#in.perSecond,
      dropped,
      thinned,
      expired: expired + this.#spools.expired,
      drain: this.progress.state,
    }
  }
}
