/**
 * The page's one connection to the gateway: a stream of events for the sections that the page on show needs. It is
 * closed while nobody sees the page, and comes back with everything anew. What arrives is put into the state once per
 * frame. A stream that breaks is tried again after 1 to 30 s; one that only falls silent is noticed by asking for
 * something small, so that the page says within 5 s that what it shows is old.
 */
import { signal } from '@preact/signals'
import type { Section } from '../api.ts'
import { after, every, monotonic } from './time.ts'

/** Pauses between attempts, in ms: they double, and are spread so that many pages do not knock together. */
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 30_000
/** A silence after which it is asked whether the gateway is still there, and the patience with the answer, in ms. */
const QUIET = 1500
const PROBE_PATIENCE = 2000
/** Between two looks at the silence, in ms. With the two above: at most 5 s until a loss is told. */
const LOOK_EVERY = 500
/** A break shorter than this, in ms, is not worth a word: the gateway was only restarted. */
const GRACE = 1500
/** Work per frame on what arrives in parts, in ms: the rest of the frame belongs to the browser. */
const FRAME_BUDGET = 6

export type LinkState = 'starting' | 'live' | 'lost'

/** `lost`: what is shown is old, and commands are off. */
export const linkState = signal<LinkState>('starting')
/** While lost: when the next attempt is made, as `monotonic()` has it. */
export const nextAttempt = signal<number | undefined>(undefined)

/** Events of the stream, and `begin`, which is ours: what follows is of a new stream, for these sections. */
export type EventName = Section | 'removed' | 'hello' | 'begin'
const NAMES: readonly EventName[] = [
  'hello',
  'overview',
  'home',
  'topics',
  'removed',
  'clients',
  'bridges',
  'devices',
  'health',
  'log',
]

export interface LinkDeps {
  /** Takes what has arrived, in order, in an animation frame. */
  readonly take: (name: EventName, data: unknown) => void
  /** Whether the gateway answers; also finds out that the login has ended. */
  readonly probe: (patience: number) => Promise<boolean>
}

export class Link {
  readonly #deps: LinkDeps
  #sections: readonly Section[] = []
  #source: EventSource | undefined
  #waiting: [EventName, string][] = []
  #frame = 0
  #fresh = false
  #heard = 0
  #probing = false
  #pause = FIRST_PAUSE
  #cancelRetry: (() => void) | undefined
  #cancelGrace: (() => void) | undefined

  constructor(deps: LinkDeps) {
    this.#deps = deps
  }

  start(): void {
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#close() : this.#open()))
    addEventListener('offline', () => this.#failed())
    addEventListener('online', () => this.retry())
    every(LOOK_EVERY, () => this.#look())
  }

  /** From now on these sections are wanted; none closes the stream. */
  watch(sections: readonly Section[]): void {
    if (sections.join() === this.#sections.join()) return
    this.#sections = sections
    this.#open()
  }

  /** Does not wait for the next attempt. */
  retry(): void {
    this.#pause = FIRST_PAUSE
    this.#open()
  }

  #open(): void {
    this.#close()
    if (this.#sections.length === 0 || document.hidden) return
    const source = new EventSource(`api/events?of=${this.#sections.join(',')}`)
    this.#source = source
    this.#fresh = true
    this.#heard = monotonic()
    for (const name of NAMES) {
      source.addEventListener(name, event => this.#arrived(name, (event as MessageEvent<string>).data))
    }
    source.addEventListener('error', () => this.#failed())
  }

  #close(): void {
    this.#source?.close()
    this.#source = undefined
    this.#waiting = []
    this.#cancelRetry?.()
    nextAttempt.value = undefined
  }

  #arrived(name: EventName, data: string): void {
    this.#heard = monotonic()
    this.#pause = FIRST_PAUSE
    this.#cancelGrace?.()
    this.#cancelGrace = undefined
    linkState.value = 'live'
    if (this.#fresh) this.#waiting.push(['begin', JSON.stringify(this.#sections)])
    this.#fresh = false
    // Of a section that comes whole only the newest counts.
    if (!comesInParts(name)) this.#waiting = this.#waiting.filter(([other]) => other !== name)
    this.#waiting.push([name, data])
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#paint())
  }

  #paint(): void {
    this.#frame = 0
    const end = monotonic() + FRAME_BUDGET
    while (this.#waiting.length > 0) {
      const [name, data] = this.#waiting.shift()!
      this.#deps.take(name, JSON.parse(data))
      if (monotonic() > end && this.#waiting.length > 0) {
        this.#frame = requestAnimationFrame(() => this.#paint())
        return
      }
    }
  }

  #failed(): void {
    if (this.#source === undefined) return
    this.#close()
    this.#cancelGrace ??= after(GRACE, () => {
      linkState.value = 'lost'
    })
    const pause = this.#pause * (0.75 + Math.random() / 4)
    this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2)
    nextAttempt.value = monotonic() + Math.max(FIRST_PAUSE, pause)
    this.#cancelRetry = after(Math.max(FIRST_PAUSE, pause), () => this.#open())
    void this.#deps.probe(PROBE_PATIENCE)
  }

  /** A stream that says nothing may be quiet or dead. */
  #look(): void {
    const quiet = this.#source !== undefined && monotonic() - this.#heard > QUIET
    if (!quiet || this.#probing || document.hidden) return
    this.#probing = true
    const asked = this.#source
    void this.#deps.probe(PROBE_PATIENCE).then(alive => {
      this.#probing = false
      if (asked !== this.#source) return
      if (alive) this.#heard = monotonic()
      else {
        linkState.value = 'lost'
        this.#failed()
      }
    })
  }
}

function comesInParts(name: EventName): boolean {
  return name === 'topics' || name === 'removed' || name === 'log'
}
