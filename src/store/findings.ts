/** What a verification found: how much there is of everything, and what does not fit together, with an example of each. */

/** By kind: what is said of several of them. The order is that of the report. */
const FAULTS = {
  damaged: 'records that cannot be read',
  unknown: 'records of no kind that this version knows',
  schema: 'records of the schema that are not there',
  dangling: 'places in a queue whose message is gone',
  abandoned: 'messages that nobody waits for',
  ownerless: 'records of sessions that do not exist',
  doubled: 'sessions that have the number of another',
  positions: 'queues whose count, size or end is noted wrongly (a power cut does that)',
  numbers: 'numbers that would be given out a second time',
  discards: 'ended sessions that are not removed entirely (a power cut does that)',
} as const

export type FaultKind = keyof typeof FAULTS

interface Fault {
  count: number
  /** The first that was met, for a person. */
  readonly example: string
}

export class Findings {
  readonly faults = new Map<FaultKind, Fault>()
  sessions = 0
  subscriptions = 0
  /** Messages in the queues, one for each session that waits for it… */
  waiting = 0
  /** …and their bytes. */
  waitingBytes = 0
  /** Messages that several sessions wait for. */
  bodies = 0
  /** The time of the store at which the oldest of them was accepted; Infinity when none waits. */
  oldest = Number.POSITIVE_INFINITY
  retained = 0
  retainedBytes = 0
  wills = 0
  /** Packet identifiers between PUBLISH and PUBREL. */
  incoming = 0

  get isWhole(): boolean {
    return this.faults.size === 0
  }

  /** In words. */
  told(): { contents: [name: string, amount: string][]; faults: string[] } {
    const mebibytes = (this.waitingBytes / 2 ** 20).toFixed(1)
    const amounts: [string, number | string][] = [
      ['sessions', this.sessions],
      ['subscriptions', this.subscriptions],
      ['waiting messages', this.waiting],
      ['their size in MiB', mebibytes],
      ['of them with a record of their own', this.bodies],
      ['packet identifiers of QoS 2', this.incoming],
      ['retained messages', this.retained],
      ['wills', this.wills],
    ]
    const kinds = Object.keys(FAULTS) as FaultKind[]
    const faults = kinds.flatMap(kind => {
      const fault = this.faults.get(kind)
      return fault === undefined ? [] : [`${fault.count} ${FAULTS[kind]}, such as ${fault.example}`]
    })
    return { contents: amounts.map(([name, amount]) => [name, String(amount)]), faults }
  }

  note(kind: FaultKind, example: string): void {
    const known = this.faults.get(kind)
    if (known === undefined) this.faults.set(kind, { count: 1, example })
    else known.count++
  }
}
