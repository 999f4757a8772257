/**
 * What happens in a household, as fast-check draws it: plain data, so that a case that fails is made short by
 * leaving steps out. A client that is away when its turn comes connects first.
 */
import fc from 'fast-check'
import type { Household } from './household.ts'
import type { Connect, Message, Subscription, Version } from './reference.ts'

type Publishing = Omit<Message, 'payload'> & { clears: boolean }

/** How a client connects; the will has no payload yet. */
type Connecting = Omit<Connect, 'will'> & { will?: Publishing | undefined }

type Deed =
  | { do: 'connect' | 'drop' | 'repeat' }
  | { do: 'disconnect'; isShortened: boolean }
  | { do: 'subscribe'; subscriptions: Subscription[] }
  | { do: 'unsubscribe'; filter: string }
  | { do: 'publish'; messages: Publishing[]; until: 'done' | 'PUBREC' | 'vanished' }
  | { do: 'acknowledge'; count: number; isBackwards: boolean; half: boolean }

export type Step = { who: string; connecting: Connecting; deed: Deed } | 'restart'

const NAMES = ['ann', 'bob', 'cat'] as const
const TOPICS = ['a', 'a/b', 'c'] as const
const FILTERS = ['a', 'a/b', '+/b', 'a/#', '#', 'c'] as const
/** Messages of one burst at most: more than the window. */
const MAX_BURST = 8
/** Steps of one case at most. */
const MAX_STEPS = 60

export interface Choice {
  readonly versions: readonly Version[]
  /** The window that the broker is configured with. */
  readonly window: number
  /** Leaves out what Mosquitto 2.0.11 is known to do otherwise: overlaps, wills, retained values over a restart, halves of QoS 2. */
  readonly isSimple: boolean
}

/** Cases, in about the proportions of a bad day. */
export function cases(choice: Choice): fc.Arbitrary<Step[]> {
  const who = fc.constantFrom(...NAMES)
  const step = fc.oneof(
    { weight: 39, arbitrary: fc.record({ who, connecting: connecting(choice), deed: deed(choice) }) },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  )
  // Without a bias towards short ones: a session needs a history.
  return fc.noBias(fc.array(step, { minLength: 1, maxLength: MAX_STEPS, size: 'max' }))
}

const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const topic = fc.constantFrom(...TOPICS)
const rarely = fc.nat({ max: 3 }).map(n => n === 3)
const often = rarely.map(rare => !rare)

/** Messages that clear have all the same payload. On one topic they have one QoS, or nobody could tell which of two has come. */
const CLEARING_QOS = { a: 2, 'a/b': 1, c: 0 } as const

function publishing(isSimple: boolean): fc.Arbitrary<Publishing> {
  return fc
    .record({ topic, qos, retain: isSimple ? fc.constant(false) : rarely, clears: rarely })
    .map(it => (it.retain && it.clears ? { ...it, qos: CLEARING_QOS[it.topic] } : { ...it, clears: false }))
}

function connecting({ versions, window, isSimple }: Choice): fc.Arbitrary<Connecting> {
  const will = isSimple ? fc.constant(undefined) : fc.option(publishing(isSimple), { nil: undefined })
  return fc
    .record({
      version: fc.constantFrom(...versions),
      clean: rarely,
      kept: often,
      window: fc.integer({ min: 1, max: window }),
      will,
    })
    .map(it => ({
      ...it,
      // Before MQTT 5 one flag says both, and the window is the broker's.
      kept: it.version === 5 ? it.kept : !it.clean,
      window: it.version === 5 && !isSimple ? it.window : window,
    }))
}

function deed({ window, isSimple }: Choice): fc.Arbitrary<Deed> {
  const filter = fc.constantFrom(...(isSimple ? TOPICS : FILTERS))
  const subscription = fc
    .record({
      filter,
      qos,
      noLocal: rarely,
      retainAsPublished: rarely,
      retainHandling: fc.constantFrom(0 as const, 0 as const, 1 as const, 2 as const),
      identifier: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    })
    // Whether a retained message of one's own comes to a new subscription without local ones, the standard leaves open.
    .map(({ identifier, ...it }) => ({
      ...it,
      retainHandling: it.noLocal ? (2 as const) : it.retainHandling,
      ...(identifier === undefined ? {} : { identifier }),
    }))
  const until = isSimple
    ? fc.constant('done' as const)
    : fc.constantFrom('done' as const, 'done' as const, 'done' as const, 'PUBREC' as const, 'vanished' as const)
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('publish' as const),
        messages: fc.array(publishing(isSimple), { minLength: 1, maxLength: MAX_BURST, size: 'max' }),
        until,
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('acknowledge' as const),
        count: fc.integer({ min: 1, max: window }),
        isBackwards: isSimple ? fc.constant(false) : rarely,
        half: fc.boolean(),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('subscribe' as const),
        subscriptions: subscription.map(only => [only]),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('drop' as const, 'connect' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('disconnect' as const), isShortened: rarely }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('unsubscribe' as const), filter }) },
    { weight: isSimple ? 0 : 2, arbitrary: fc.record({ do: fc.constant('repeat' as const) }) },
  )
}

/** Carries out a step, and writes down in `trace` what was done. */
export async function take(step: Step, household: Household, trace: string[]): Promise<void> {
  if (step === 'restart') {
    trace.push('restart')
    await household.restart()
    return
  }
  const { who, deed } = step
  if (deed.do === 'connect' || !household.isConnected(who)) {
    const { will, ...rest } = step.connecting
    const connect = { ...rest, ...(will === undefined ? {} : { will: household.message(will) }) }
    trace.push(`${who} connects: ${describeConnect(connect)}`)
    await household.connect(who, connect)
  }
  if (deed.do !== 'connect') await carryOut(who, deed, household, trace)
}

async function carryOut(
  who: string,
  deed: Exclude<Deed, { do: 'connect' }>,
  household: Household,
  trace: string[],
): Promise<void> {
  switch (deed.do) {
    case 'disconnect': {
      // Only a session of MQTT 5 that is kept can be ended so.
      const isEnded = deed.isShortened && household.keptVersion(who) === 5
      trace.push(`${who} disconnects${isEnded ? ' and ends the session' : ''}`)
      await household.disconnect(who, isEnded ? false : undefined)
      return
    }
    case 'drop':
      trace.push(`${who} drops the line`)
      await household.drop(who)
      return
    case 'subscribe': {
      const list = household.version(who) === 5 ? deed.subscriptions : deed.subscriptions.map(withoutOptions)
      trace.push(`${who} subscribes: ${list.map(describeSubscription).join(', ')}`)
      await household.subscribe(who, list)
      return
    }
    case 'unsubscribe':
      trace.push(`${who} unsubscribes: ${deed.filter}`)
      await household.unsubscribe(who, deed.filter)
      return
    case 'publish': {
      const messages = deed.messages.map(message => household.message(message))
      const how = { done: '', PUBREC: ', no PUBREL', vanished: ', and drops the line' }[deed.until]
      trace.push(`${who} publishes: ${messages.map(describeMessage).join(', ')}${how}`)
      await household.publish(who, messages, deed.until)
      return
    }
    case 'repeat':
      trace.push(`${who} repeats what was not acknowledged`)
      await household.repeat(who)
      return
    case 'acknowledge':
      trace.push(
        `${who} acknowledges ${deed.count}${deed.isBackwards ? ' backwards' : ''}${deed.half ? ', QoS 2 by PUBREC only' : ''}`,
      )
      await household.acknowledge(who, deed)
  }
}

function withoutOptions({ filter, qos }: Subscription): Subscription {
  return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }
}

function describeConnect({ version, clean, kept, window, will }: Connect): string {
  return [
    `MQTT ${{ 3: '3.1', 4: '3.1.1', 5: '5' }[version]}`,
    clean ? 'clean' : 'not clean',
    kept ? 'kept' : 'not kept',
    `window ${window}`,
    ...(will === undefined ? [] : [`will ${describeMessage(will)}`]),
  ].join(', ')
}

function describeMessage({ topic, payload, qos, retain }: Message): string {
  return `'${payload}' on ${topic} at QoS ${qos}${retain ? ' retained' : ''}`
}

function describeSubscription({ filter, qos, ...options }: Subscription): string {
  const { noLocal, retainAsPublished, retainHandling, identifier } = options
  return [
    `${filter} at QoS ${qos}`,
    ...(noLocal ? ['no local'] : []),
    ...(retainAsPublished ? ['retain as published'] : []),
    ...(retainHandling > 0 ? [`retain handling ${retainHandling}`] : []),
    ...(identifier === undefined ? [] : [`identifier ${identifier}`]),
  ].join(' ')
}
