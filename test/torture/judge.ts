/**
 * Reads the books of a torture run and says what is wrong, in sentences with numbers and topics. A pure function.
 *
 *   missing     an acknowledged message that did not come to a subscriber whose subscription stood before it was sent
 *   duplicates  a QoS 2 message that came twice over a QoS 2 subscription [MQTT-4.3.3-1]; QoS 1 may repeat
 *   order       the first comings of one publisher's messages on one topic [MQTT-4.6.0-5] [MQTT-4.6.0-6]
 *   retained    a new subscriber saw neither the last acknowledged value nor one sent after it
 *   sessions    a session that a client was told of is gone
 *
 * With a loss window, what a client was told less than that before a kill is no promise yet.
 */
import type { Books, Life, PublisherBook, SubscriberBook } from './books.ts'

export interface Tolerance {
  /** Milliseconds before a kill in which acknowledged things may be lost; 0: none. */
  lossWindowMs: number
}

export interface Verdict {
  faults: string[]
  /** Messages, counted for each subscriber that misses them. */
  missing: number
  /** Missing, but within the loss window. */
  excused: number
  duplicates: number
  disordered: number
}

/** Numbers that a sentence names. */
const EXAMPLES = 5

export function judge(books: Books, tolerance: Tolerance = { lossWindowMs: 0 }): Verdict {
  const verdict: Verdict = { faults: [...books.oddities], missing: 0, excused: 0, duplicates: 0, disordered: 0 }
  const promises = new Promises(books.lives, tolerance)
  for (const subscriber of books.subscribers.values()) {
    for (const publisher of books.publishers.values()) {
      judgeMissing(subscriber, publisher, promises, verdict)
      judgeDuplicates(subscriber, publisher, promises, verdict)
      judgeOrder(subscriber, publisher, verdict)
    }
  }
  judgeRetained(books, promises, verdict)
  judgeSessions(books, promises, verdict)
  return verdict
}

/** When a promise was given, and whether it had to survive the kill that followed. */
class Promises {
  readonly #lives: readonly Life[]
  readonly #window: number

  constructor(lives: readonly Life[], tolerance: Tolerance) {
    this.#lives = lives
    this.#window = tolerance.lossWindowMs
  }

  /** The kill that came next after `at`: its number from 1, and how many milliseconds later it came. */
  nextKill(at: number): { kill: number; later: number } | undefined {
    // What was still in the sockets is read after the kill, but before the next start.
    let low = 0
    for (let high = this.#lives.length; high - low > 1; ) {
      const middle = (low + high) >> 1
      if ((this.#lives[middle] as Life).startedAt <= at) low = middle
      else high = middle
    }
    const killedAt = this.#lives[low]?.killedAt
    return killedAt === undefined ? undefined : { kill: low + 1, later: killedAt - at }
  }

  /** Whether what was promised at `given` binds at `asked`. */
  binds(given: number, asked = Number.POSITIVE_INFINITY): boolean {
    if (this.#window === 0) return true
    const next = this.nextKill(given)
    return next === undefined || given + next.later > asked || next.later >= this.#window
  }

  tell(given: number): string {
    const next = this.nextKill(given)
    return next === undefined ? `at ${given} ms` : `at ${given} ms, ${next.later} ms before kill ${next.kill}`
  }
}

function judgeMissing(sub: SubscriberBook, pub: PublisherBook, promises: Promises, verdict: Verdict): void {
  const since = sub.since(pub)
  if (since === undefined) return
  const receipts = sub.of(pub)
  const missing: number[] = []
  for (let number = since; number < pub.sent; number++) {
    const acknowledgedAt = pub.acknowledgedAt(number)
    if (acknowledgedAt === undefined || !sub.wants(pub, number) || receipts.times(number) > 0) continue
    if (promises.binds(acknowledgedAt)) missing.push(number)
    else verdict.excused++
  }
  verdict.missing += missing.length
  if (missing.length === 0) return
  const examples = some(missing, number => {
    const when = promises.tell(pub.acknowledgedAt(number) as number)
    return `${number} on ${pub.topicOf(number)} (acknowledged ${when})`
  })
  verdict.faults.push(`${told(sub)} misses ${missing.length} acknowledged messages of ${told(pub)}: ${examples}`)
}

function judgeDuplicates(sub: SubscriberBook, pub: PublisherBook, promises: Promises, verdict: Verdict): void {
  if (sub.qos !== 2 || pub.qos !== 2) return
  const receipts = sub.of(pub)
  const twice: number[] = []
  for (let number = 0; number < pub.sent; number++) {
    if (receipts.times(number) > 1 && promises.binds(receipts.at(number))) twice.push(number)
  }
  verdict.duplicates += twice.length
  if (twice.length === 0) return
  const examples = some(twice, number => {
    const when = promises.tell(receipts.at(number))
    return `${number} on ${pub.topicOf(number)} (${receipts.times(number)} times, first complete ${when})`
  })
  verdict.faults.push(`${told(sub)} got ${twice.length} messages of ${told(pub)} more than once: ${examples}`)
}

function judgeOrder(sub: SubscriberBook, pub: PublisherBook, verdict: Verdict): void {
  const receipts = sub.of(pub)
  const faults: string[] = []
  for (let topic = 0; topic < pub.topics; topic++) {
    let last: number | undefined
    for (let number = topic; number < pub.sent; number += pub.topics) {
      const place = receipts.place(number)
      if (place === 0) continue
      if (last !== undefined && place < receipts.place(last)) {
        faults.push(`${number} before ${last} on ${pub.topicOf(number)}`)
      } else {
        last = number
      }
    }
  }
  verdict.disordered += faults.length
  if (faults.length === 0) return
  verdict.faults.push(
    `${told(sub)} got ${faults.length} messages of ${told(pub)} out of order: ${some(faults, String)}`,
  )
}

function judgeRetained(books: Books, promises: Promises, verdict: Verdict): void {
  for (const { topic, at, sent, value } of books.sightings) {
    const book = books.retained.get(topic)
    if (book === undefined) {
      verdict.faults.push(`a new subscriber saw ${topic} at ${at} ms, which nobody retained`)
      continue
    }
    // The last value that it could not but know of; any after it may have come in time, too.
    let known = Math.min(sent, book.sent) - 1
    const isKnown = (acknowledgedAt: number | undefined): boolean =>
      acknowledgedAt !== undefined && acknowledgedAt <= at && promises.binds(acknowledgedAt, at)
    while (known >= 0 && !isKnown(book.acknowledgedAt(known))) known--
    const possible = (state: number): boolean => (book.isRemoval(state) ? undefined : state) === value
    let isRight = known < 0 && value === undefined
    for (let state = Math.max(0, known); state < sent; state++) isRight ||= possible(state)
    if (isRight) continue
    const seen = value === undefined ? 'nothing' : `value ${value}`
    const should =
      known < 0
        ? 'no value was acknowledged'
        : `${book.isRemoval(known) ? 'its removal' : 'value'} ${known} was acknowledged ${promises.tell(book.acknowledgedAt(known) as number)}`
    verdict.faults.push(
      `a new subscriber saw ${seen} on ${topic} at ${at} ms: ${should}, and ${sent - 1} was the last sent`,
    )
  }
}

function judgeSessions(books: Books, promises: Promises, verdict: Verdict): void {
  for (const { client, stoodAt, goneAt } of books.lostSessions) {
    if (!promises.binds(stoodAt, goneAt)) continue
    verdict.faults.push(`the session of ${client}, which stood ${promises.tell(stoodAt)}, was gone at ${goneAt} ms`)
  }
}

function told(book: SubscriberBook | PublisherBook): string {
  return `${book.name} (QoS ${book.qos})`
}

function some<T>(all: readonly T[], tell: (each: T) => string): string {
  const examples = all.slice(0, EXAMPLES).map(tell).join(', ')
  return all.length > EXAMPLES ? `${examples}, …` : examples
}
