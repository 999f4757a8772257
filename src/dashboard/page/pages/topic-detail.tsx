/** What one topic says, in full, with what it said since it was opened; and the way to clear what is retained. */
import { useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { TopicState } from '../../api.ts'
import { act } from '../ask.ts'
import { confirmed } from '../confirm.tsx'
import { mayAct, topics, topicsChanged } from '../gateway.ts'
import { Icon } from '../icons.tsx'
import { tell, tellRefusal } from '../notices.tsx'
import { Action, Age, Fact, Facts, Topic } from '../parts.tsx'
import { closeItem } from '../route.ts'
import { bytes, number, some, timeOfDay } from '../words.ts'

/** Values that are kept while a topic is open. */
const KEPT = 20

export function TopicDetail(props: { path: string; publish: () => void }) {
  topicsChanged.value
  const node = topics.get(props.path)
  const state = node?.state
  const heard = useSignal<readonly TopicState[]>([])
  useEffect(() => {
    if (state !== undefined && state !== heard.peek()[0]) heard.value = [state, ...heard.peek()].slice(0, KEPT)
  }, [state, heard])
  const back = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    // On a phone it lies over the tree; beside it, the keyboard stays with the tree.
    if (matchMedia('(max-width: 839px)').matches) back.current?.focus()
  }, [])
  const under = node === undefined ? [] : topics.retainedUnder(props.path)
  return (
    <>
      <header class="detail-head">
        <button ref={back} type="button" class="plain square" aria-label="Back to all topics" onClick={closeItem}>
          <Icon name="back" />
        </button>
        <h2>
          <Topic name={props.path} />
        </h2>
      </header>
      {state === undefined ? (
        <p class="quiet-text">
          {node === undefined
            ? 'Nothing is known of this topic any more.'
            : `${some(node.topics, 'topic')} under this level.`}
        </p>
      ) : (
        <Value state={state} />
      )}
      <div class="buttons">
        <button type="button" disabled={!mayAct.value} onClick={props.publish}>
          <Icon name="send" />
          <span>Publish here</span>
        </button>
        {state?.retained && (
          <Action icon="bin" act={() => clear([props.path])}>
            Clear retained
          </Action>
        )}
        {node !== undefined && node.children.size > 0 && under.length > 0 && (
          <Action icon="bin" act={() => clear(under)}>
            Clear {number(under.length)} retained from here down
          </Action>
        )}
      </div>
      {heard.value.length > 1 && <Heard values={heard.value} />}
    </>
  )
}

function Value(props: { state: TopicState }) {
  const { state } = props
  const text = useMemo(() => readable(state), [state])
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <pre class="payload" tabIndex={0}>
        {text === '' ? <span class="quiet-text">(empty)</span> : text}
      </pre>
      {state.base64 && <p class="quiet-text">This is not text; it is shown as base64.</p>}
      {!state.base64 && state.size > new TextEncoder().encode(state.payload).length && (
        <p class="quiet-text">Only the beginning is shown: it is {bytes(state.size)} long.</p>
      )}
      <Facts>
        <Fact name="Published">
          <Age at={state.at} />
        </Fact>
        <Fact name="Size">{bytes(state.size)}</Fact>
        <Fact name="QoS">{state.qos}</Fact>
        <Fact name="Retained">{state.retained ? 'yes: who subscribes later gets it' : 'no'}</Fact>
        <Fact name="Seen">{some(state.count, 'message')}</Fact>
      </Facts>
    </>
  )
}

/** JSON with its lines, anything else as it is. */
function readable(state: TopicState): string {
  if (state.base64 || !/^\s*[[{]/.test(state.payload)) return state.payload
  try {
    return JSON.stringify(JSON.parse(state.payload), null, 2)
  } catch {
    return state.payload
  }
}

function Heard(props: { values: readonly TopicState[] }) {
  return (
    <details class="more" open>
      <summary>Heard since this was opened</summary>
      <ol class="heard">
        {props.values.map(state => (
          <li key={state.count}>
            <time dateTime={new Date(state.at).toISOString()}>{timeOfDay(state.at)}</time>
            <span>{state.base64 ? `${number(state.size)} bytes` : state.payload || '(empty)'}</span>
          </li>
        ))}
      </ol>
    </details>
  )
}

/** Asks, clears, and offers the way back. */
async function clear(paths: readonly string[]): Promise<undefined> {
  const what = some(paths.length, 'retained message')
  const yes = await confirmed({
    title: `Clear ${what}?`,
    text:
      paths.length === 1
        ? `Who subscribes to ${paths[0]} from now on gets nothing until somebody publishes again.`
        : `Among them ${paths.slice(0, 3).join(', ')}. Who subscribes from now on gets nothing until somebody publishes again.`,
    action: `Clear ${what}`,
  })
  if (!yes) return undefined
  const { message, token } = await act('clear', { topics: paths })
  tell(message, () => {
    act('unclear', { token }).then(done => tell(done.message), tellRefusal)
  })
  return undefined
}
