/**
 * A thing on its shelf: what it says, how old that is, whether it is there, and its switches. A switch says "sending"
 * until the thing itself has told the new state: what was pressed is no state.
 */
import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Thing, ValueView } from '../../api.ts'
import { act } from '../ask.ts'
import { mayAct } from '../gateway.ts'
import { linkState } from '../link.ts'
import { tellRefusal } from '../notices.tsx'
import { Age, State } from '../parts.tsx'
import { hrefOf } from '../route.ts'
import { Spark } from '../spark.tsx'
import { after, now } from '../time.ts'
import { duration, isStale, named, reading } from '../words.ts'

/** How long a device may take until it tells its new state, in ms. */
const ANSWERS_WITHIN = 5000

export function ThingCard(props: { thing: Thing }) {
  const { thing } = props
  const heard = newest(thing)
  const stale = thing.state === 'stale' || isStale(heard, thing.period, now.value)
  const old = stale || thing.state === 'offline' || linkState.value === 'lost'
  const wide = thing.values.length > 1 || (thing.command !== undefined && thing.command.values.length > 2)
  return (
    <article class={`card${wide ? ' wide' : ''}${old ? ' old' : ''}`} aria-label={thing.name}>
      <h3>{thing.name}</h3>
      <div class={`values${thing.values.length > 1 ? ' several' : ''}`}>
        {thing.values.length === 0 && <Value view={{ name: '' }} thing={thing} />}
        {thing.values.map(view => (
          <Value key={view.name} view={view} thing={thing} />
        ))}
      </div>
      {thing.command && <Switch thing={thing} command={thing.command} />}
      <Foot thing={thing} heard={heard} stale={stale} />
    </article>
  )
}

function newest(thing: Thing): number | undefined {
  const times = thing.values.flatMap(value => value.at ?? [])
  return times.length === 0 ? undefined : Math.max(...times)
}

function Value(props: { view: ValueView; thing: Thing }) {
  const { view, thing } = props
  const { text, unit } = reading(view)
  const inside = (
    <>
      {view.name !== '' && <span class="value-name">{named(view.name, view.unit)}</span>}
      <span class={`value-number${text.length > 10 ? ' long' : ''}`}>
        {text}
        {unit && (
          <span class="unit">
            {'\u00a0'}
            {unit}
          </span>
        )}
      </span>
      {(view.series !== undefined || view.spark !== undefined) && <Spark points={view.spark} />}
    </>
  )
  if (view.series === undefined) return <div class="value">{inside}</div>
  return (
    <a
      class="value"
      href={hrefOf('home', view.series)}
      aria-label={`${view.name ? named(view.name, view.unit) : thing.name} ${text} ${unit ?? ''}, history`}
    >
      {inside}
    </a>
  )
}

/** One line, whatever it says, so that nothing jumps. */
function Foot(props: { thing: Thing; heard: number | undefined; stale: boolean }) {
  const { thing, heard, stale } = props
  if (thing.state === 'offline') {
    return (
      <p class="foot" title={thing.reason}>
        <State tone="fail" icon="fail">
          offline {duration(now.value - thing.since)}
          {thing.reason && <span class="reason">: {thing.reason}</span>}
        </State>
      </p>
    )
  }
  if (stale) {
    return (
      <p class="foot">
        <State tone="warn" icon="wait">
          stale {duration(now.value - (heard ?? thing.since))}
        </State>
      </p>
    )
  }
  if (thing.state === 'starting') {
    return (
      <p class="foot">
        <State tone="quiet" icon="wait">
          starting
        </State>
      </p>
    )
  }
  return (
    <p class="foot quiet-text">
      {heard === undefined ? (
        <span>nothing heard yet</span>
      ) : (
        <span>
          <Age at={heard} />
        </span>
      )}
    </p>
  )
}

interface Sent {
  readonly value: string
  /** When the thing had told its state before. */
  readonly before: number | undefined
  readonly failed: boolean
}

function Switch(props: { thing: Thing; command: NonNullable<Thing['command']> }) {
  const { thing, command } = props
  const sent = useSignal<Sent | undefined>(undefined)
  const view = thing.values[0]
  const waiting = sent.value
  const done = waiting !== undefined && isAnswer(waiting, view)
  useEffect(() => {
    if (done) sent.value = undefined
  }, [done, sent])
  useEffect(() => {
    if (waiting === undefined || waiting.failed) return
    return after(ANSWERS_WITHIN, () => {
      sent.value = { ...waiting, failed: true }
    })
  }, [waiting, sent])
  return (
    <div class="switch">
      <fieldset class="choices" aria-label={`Switch ${thing.name}`}>
        {command.values.map(value => (
          <button
            key={value}
            type="button"
            disabled={!mayAct.value || (waiting !== undefined && !waiting.failed)}
            aria-pressed={sameState(view?.value, value)}
            aria-label={`${named(value)}: ${thing.name}`}
            onClick={() => void send(value, command.topic, view, sent)}
          >
            {named(value)}
          </button>
        ))}
      </fieldset>
      <p class="switch-says" role="status">
        {waiting && !waiting.failed && !done && (
          <State tone="quiet" icon="wait">
            sending {waiting.value}…
          </State>
        )}
        {waiting?.failed && !done && (
          <State tone="fail" icon="warn">
            no answer in 5 s
          </State>
        )}
      </p>
    </div>
  )
}

async function send(value: string, topic: string, view: ValueView | undefined, sent: Signal<Sent | undefined>) {
  sent.value = { value, before: view?.at, failed: false }
  try {
    await act('publish', { topic, payload: value, qos: 1, retain: false })
  } catch (error) {
    sent.value = undefined
    tellRefusal(error)
  }
}

/** Whether what the thing says now answers what was sent. What names no state (`toggle`) is answered by any word. */
function isAnswer(sent: Sent, view: ValueView | undefined): boolean {
  if (switched(sent.value) === undefined) return view?.at !== sent.before
  return sameState(view?.value, sent.value)
}

function sameState(value: ValueView['value'], command: string): boolean {
  if (value === undefined) return false
  const state = switched(String(value))
  return state === undefined ? String(value).toLowerCase() === command.toLowerCase() : state === switched(command)
}

/** On or off, in the words that devices use for it. */
function switched(word: string): boolean | undefined {
  if (/^(on|true|1|open)$/i.test(word)) return true
  if (/^(off|false|0|closed?)$/i.test(word)) return false
  return undefined
}
