/**
 * What an acknowledgement promises, topic by topic, as a loss window: so many milliseconds before a power cut may be
 * lost. 0 is `ack`: a message is on the disk before its publisher is acknowledged. Any other is acknowledged at
 * once and written within the window; with Infinity (`none`) it is written soon, but never forced to the disk.
 * Messages of QoS 2 are always `ack`.
 */
import { FilterTree } from '../mqtt/filter-tree.ts'
import { remember } from '../mqtt/remember.ts'

export interface DurabilityRule {
  /** Topic filter. */
  readonly filter: string
  /** ms */
  readonly window: number
}

/** Answers kept: enough for a large home. */
const MAX_CACHED_TOPICS = 10_000
/** A part of the window is left for the write itself, on a slow card. */
const WRITE_SHARE = 0.5
/** Milliseconds in which a message is written that is not forced to the disk: a crash of the gateway alone loses no more. */
const UNFORCED_DELAY_MS = 1_000

export class Durability {
  readonly #window: number
  readonly #longest: number
  readonly #rules: FilterTree<DurabilityRule & { rank: number }> | null = null
  readonly #windows = new Map<string, number>()

  /** Of the rules that match a topic, the first counts; where none does, `window`. */
  constructor(options: { window: number; rules: readonly DurabilityRule[] }) {
    this.#window = options.window
    this.#longest = Math.max(options.window, ...options.rules.map(({ window }) => window))
    if (options.rules.length === 0) return
    this.#rules = new FilterTree()
    for (const [rank, rule] of options.rules.entries()) this.#rules.add(rule.filter, { ...rule, rank })
  }

  /** The longest of the loss windows, in milliseconds: what a power cut may take at most. */
  get longest(): number {
    return this.#longest
  }

  /** The loss window of a topic, in milliseconds. */
  windowOf(topic: string): number {
    if (this.#rules === null) return this.#window
    const known = this.#windows.get(topic)
    if (known !== undefined) return known
    const [first] = this.#rules.match(topic).sort((a, b) => a.rank - b.rank)
    const window = first?.window ?? this.#window
    remember(this.#windows, topic, window, MAX_CACHED_TOPICS)
    return window
  }
}

/** Milliseconds after which a message with this loss window is given to the disk, at the latest. */
export function delayOf(window: number): number {
  return window === Number.POSITIVE_INFINITY ? UNFORCED_DELAY_MS : window * WRITE_SHARE
}

/** What a loss window means, as a sentence for the owner. */
export function lossSentence(window: number): string {
  if (window === 0) return 'what was acknowledged is on the disk'
  if (window === Number.POSITIVE_INFINITY)
    return 'a power cut may take acknowledged messages: they are not forced to the disk'
  return `a power cut may take the acknowledged messages of the last ${window / 1000} s`
}
