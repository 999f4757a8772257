/** The judge of the torture rigs is judged: each kind of fault, cooked into the books, must be found and told. */
import { describe, expect, test } from 'vitest'
import { Books, type PublisherBook, type Qos, type SubscriberBook } from '../torture/books.ts'
import { judge } from '../torture/judge.ts'

const WINDOW = { lossWindowMs: 5_000 }

/** One publisher, one subscriber; messages 0 to 5 on two topics were sent and acknowledged at 100, 200, … 600 ms. */
function books(options: { pub?: Qos; sub?: Qos; topic?: number; since?: number } = {}) {
  const all = new Books()
  all.lives.push({ startedAt: 0, killedAt: undefined })
  const pub = all.addPublisher({ name: 'p', qos: options.pub ?? 1, topics: 2 })
  const sub = all.addSubscriber({ name: 's', qos: options.sub ?? 1, topic: options.topic })
  pub.sent = options.since ?? 0
  sub.subscribed([pub])
  pub.sent = 6
  for (let number = 0; number < 6; number++) pub.acknowledge(number, (number + 1) * 100)
  return { all, pub, sub }
}

function receive(sub: SubscriberBook, pub: PublisherBook, ...numbers: number[]): void {
  for (const number of numbers) sub.receive(pub, number, 1_000)
}

describe('what is right passes:', () => {
  test('everything, in order', () => {
    const { all, pub, sub } = books({ pub: 2, sub: 2 })
    receive(sub, pub, 0, 1, 2, 3, 4, 5)
    expect(judge(all)).toEqual({ faults: [], missing: 0, excused: 0, duplicates: 0, disordered: 0 })
  })

  test('in order on each topic only', () => {
    const { all, pub, sub } = books()
    receive(sub, pub, 1, 0, 3, 5, 2, 4)
    expect(judge(all).faults).toEqual([])
  })

  test('repeats that touch QoS 1 on either side', () => {
    for (const [publisher, subscriber] of [
      [1, 1],
      [2, 1],
      [1, 2],
    ] as const) {
      const { all, pub, sub } = books({ pub: publisher, sub: subscriber })
      receive(sub, pub, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5)
      expect(judge(all).faults).toEqual([])
    }
  })

  test('without what nobody acknowledged, what was sent before the subscription, and what it does not want', () => {
    const { all, pub, sub } = books({ since: 2, topic: 1 })
    pub.sent = 8 // 6 and 7 are not acknowledged
    receive(sub, pub, 3, 5)
    expect(judge(all).faults).toEqual([])
  })

  test('with what nobody acknowledged', () => {
    const { all, pub, sub } = books()
    pub.sent = 7
    receive(sub, pub, 0, 1, 2, 3, 4, 5, 6)
    expect(judge(all).faults).toEqual([])
  })

  test('a subscription that was never acknowledged is owed nothing', () => {
    const { all } = books()
    const stranger = all.addSubscriber({ name: 'stranger', qos: 1 })
    receive(all.subscribers.get('s') as SubscriberBook, all.publishers.get('p') as PublisherBook, 0, 1, 2, 3, 4, 5)
    expect(stranger.since(all.publishers.get('p') as PublisherBook)).toBeUndefined()
    expect(judge(all).faults).toEqual([])
  })
})

describe('missing:', () => {
  test('an acknowledged message, with its topic and the kill that took it', () => {
    const { all, pub, sub } = books()
    all.lives.splice(0, 1, { startedAt: 0, killedAt: 450 }, { startedAt: 500, killedAt: undefined })
    receive(sub, pub, 0, 1, 2, 4)
    const { faults, missing } = judge(all)
    expect(missing).toBe(2)
    expect(faults).toEqual([
      's (QoS 1) misses 2 acknowledged messages of p (QoS 1): ' +
        '3 on t/p/1 (acknowledged at 400 ms, 50 ms before kill 1), 5 on t/p/1 (acknowledged at 600 ms)',
    ])
  })

  test('the first message after the subscription', () => {
    const { all, pub, sub } = books({ since: 2 })
    receive(sub, pub, 3, 4, 5)
    expect(judge(all).faults).toEqual([
      expect.stringContaining('misses 1 acknowledged messages of p (QoS 1): 2 on t/p/0'),
    ])
  })

  test('everything, of one who never came', () => {
    const { all } = books()
    expect(judge(all)).toMatchObject({ missing: 6, faults: [expect.stringContaining(', …')] })
  })
})

describe('with a loss window,', () => {
  /** Message 0 was acknowledged 6 s before the kill, message 1 5 s, message 2 one ms less. */
  function killed(options: Parameters<typeof books>[0] = {}) {
    const { all, pub, sub } = books(options)
    pub.sent = 3
    all.lives.splice(0, 1, { startedAt: 0, killedAt: 6_100 }, { startedAt: 7_000, killedAt: undefined })
    return { all, pub, sub }
  }

  test('only what was acknowledged within it may be missing', () => {
    const { all, pub } = killed()
    const late = all.addPublisher({ name: 'late', qos: 1, topics: 1 })
    all.subscribers.get('s')?.subscribed([late])
    late.sent = 4
    ;[1_100, 1_101, 6_110, 7_100].forEach((at, number) => {
      late.acknowledge(number, at)
    })
    const { faults, missing, excused } = judge(all, WINDOW)
    // Message 2 of `late` was in the socket when the kill came, and 3 came in a life that goes on.
    expect({ missing, excused }).toEqual({ missing: pub.sent + 2, excused: 2 })
    expect(faults[1]).toContain('0 on t/late/0 (acknowledged at 1100 ms, 5000 ms before kill 1), 3 on t/late/0')
    expect(judge(all)).toMatchObject({ missing: pub.sent + 4, excused: 0 })
  })

  test('only what was complete within it may come twice at QoS 2', () => {
    const { all, pub, sub } = killed({ pub: 2, sub: 2 })
    receive(sub, pub, 0, 1, 2, 0, 1, 2)
    const complete = [1_100, 1_101, 900]
    complete.forEach((at, number) => {
      sub.of(pub).complete(number, at)
    })
    expect(judge(all, WINDOW)).toMatchObject({
      duplicates: 2,
      faults: [expect.stringContaining('0 on t/p/0 (2 times')],
    })
    expect(judge(all).duplicates).toBe(3)
  })
})

describe('duplicates:', () => {
  test('a message of QoS 2 that came twice over QoS 2', () => {
    const { all, pub, sub } = books({ pub: 2, sub: 2 })
    receive(sub, pub, 0, 1, 2, 3, 2, 4, 5, 2)
    const { faults, duplicates } = judge(all)
    expect(duplicates).toBe(1)
    expect(faults).toEqual([
      's (QoS 2) got 1 messages of p (QoS 2) more than once: 2 on t/p/0 (3 times, first complete at 1000 ms)',
    ])
  })
})

describe('order:', () => {
  test.each([1, 2] as const)('a message of QoS %i that came before an older one of its topic', qos => {
    const { all, pub, sub } = books({ pub: qos, sub: qos })
    receive(sub, pub, 0, 1, 4, 2, 3, 5)
    expect(judge(all)).toMatchObject({
      disordered: 1,
      faults: [`s (QoS ${qos}) got 1 messages of p (QoS ${qos}) out of order: 4 before 2 on t/p/0`],
    })
  })

  test('also when the older one comes again in its place', () => {
    const { all, pub, sub } = books()
    receive(sub, pub, 2, 0, 2, 1, 3, 4, 5)
    expect(judge(all).disordered).toBe(1)
  })
})

describe('retained:', () => {
  /** Values 0 to 3, of which 2 is a removal; 0 to `acknowledged` were acknowledged at 100, 200, … ms. */
  function seen(value: number | undefined, options: { at?: number; acknowledged?: number; killedAt?: number } = {}) {
    const all = new Books()
    all.lives.push({ startedAt: 0, killedAt: options.killedAt })
    if (options.killedAt !== undefined) all.lives.push({ startedAt: options.killedAt + 1, killedAt: undefined })
    const book = all.addRetained('r')
    for (const removal of [false, false, true, false]) book.send(removal)
    for (let number = 0; number <= (options.acknowledged ?? 3); number++) book.acknowledge(number, (number + 1) * 100)
    all.sightings.push({ topic: 'r', at: options.at ?? 1_000, sent: 4, value })
    return all
  }

  test('the last acknowledged value, or a later one, is right', () => {
    expect(judge(seen(3)).faults).toEqual([])
    for (const value of [1, undefined, 3]) expect(judge(seen(value, { acknowledged: 1 })).faults).toEqual([])
    for (const value of [undefined, 3]) expect(judge(seen(value, { acknowledged: 2 })).faults).toEqual([])
    // Acknowledged only after the look.
    expect(judge(seen(1, { at: 250 })).faults).toEqual([])
  })

  test('an older value is not', () => {
    expect(judge(seen(1)).faults).toEqual([
      'a new subscriber saw value 1 on r at 1000 ms: value 3 was acknowledged at 400 ms, and 3 was the last sent',
    ])
  })

  test('nothing is not, when a value was acknowledged', () => {
    expect(judge(seen(undefined)).faults).toEqual([expect.stringContaining('saw nothing on r')])
  })

  test('a value that was removed is not', () => {
    expect(judge(seen(1, { acknowledged: 2 })).faults).toEqual([
      expect.stringContaining('saw value 1 on r at 1000 ms: its removal 2 was acknowledged at 300 ms'),
    ])
  })

  test('neither is a value that was never sent, nor nothing before any was acknowledged', () => {
    expect(judge(seen(9)).faults).toHaveLength(1)
    expect(judge(seen(undefined, { acknowledged: -1 })).faults).toEqual([])
    expect(judge(seen(0, { acknowledged: -1 })).faults).toEqual([])
  })

  test('with a loss window, what was acknowledged within it before a kill may be gone', () => {
    const options = { killedAt: 5_250, at: 6_000 }
    expect(judge(seen(1, options), WINDOW).faults).toEqual([])
    // Value 1 was acknowledged 5,050 ms before the kill.
    expect(judge(seen(0, options), WINDOW).faults).toHaveLength(1)
    expect(judge(seen(1, { killedAt: 6_000, at: 5_000 }), WINDOW).faults).toHaveLength(1)
  })
})

describe('other faults:', () => {
  test('a session that is gone', () => {
    const all = new Books()
    all.lives.push({ startedAt: 0, killedAt: 900 }, { startedAt: 1_000, killedAt: undefined })
    all.lostSessions.push({ client: 'c', stoodAt: 100, goneAt: 1_200 })
    expect(judge(all).faults).toEqual([
      'the session of c, which stood at 100 ms, 800 ms before kill 1, was gone at 1200 ms',
    ])
    expect(judge(all, WINDOW).faults).toEqual([])
  })

  test('what was odd already when it happened, and not without end', () => {
    const all = new Books()
    for (let flood = 0; flood < 10_000; flood++) all.odd('nobody waits for this')
    expect(judge(all).faults[0]).toBe('nobody waits for this')
    expect(judge(all).faults.length).toBeLessThan(1_000)
  })

  test('a retained topic of nobody', () => {
    const all = new Books()
    all.sightings.push({ topic: 'stray', at: 1, sent: 0, value: 0 })
    expect(judge(all).faults).toEqual([expect.stringContaining('stray')])
  })
})
