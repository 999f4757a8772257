/** The ways out of the house: whether they are open, what waits to go, and what would not go. */
import { useSignal } from '@preact/signals'
import type { BridgeView, DeadLetterView } from '../../api.ts'
import { act } from '../ask.ts'
import { useAsked } from '../asked.ts'
import { bridges } from '../gateway.ts'
import type { IconName } from '../icons.tsx'
import { Action, Age, Empty, Fact, Facts, Loading, State, type Tone, Topic, Unanswered } from '../parts.tsx'
import { now } from '../time.ts'
import { bytes, duration, number, rate, some } from '../words.ts'

export function BridgesPage() {
  const known = bridges.value
  return (
    <>
      <h1>Bridges</h1>
      {known === undefined && <Loading rows={2} />}
      {known?.length === 0 && (
        <Empty title="No bridge is configured">
          <p>
            A bridge carries what you choose to a broker elsewhere, and keeps it on disk until it has arrived. Four
            lines under <code>bridges:</code> in the configuration make one.
          </p>
        </Empty>
      )}
      {known?.map(bridge => (
        <BridgePanel key={bridge.name} bridge={bridge} />
      ))}
    </>
  )
}

function BridgePanel(props: { bridge: BridgeView }) {
  const { bridge } = props
  const { tone, icon, words } = stateOf(bridge)
  return (
    <section class={`panel bridge edge-${tone}`} aria-label={`Bridge ${bridge.name}`}>
      <header class="panel-head">
        <h2>{bridge.name}</h2>
        <State tone={tone} icon={icon}>
          {words} {bridge.since !== undefined && <Age at={bridge.since} bare />}
        </State>
      </header>
      <p class="quiet-text topic">{bridge.address}</p>
      {bridge.lastError && bridge.state !== 'connected' && (
        <p class="says-fail">
          <State tone="fail" icon="warn">
            {bridge.lastError}
          </State>
        </p>
      )}
      {bridge.drain && <Drain drain={bridge.drain} />}
      <Facts>
        <Fact name="Waiting to go">
          {bridge.waiting === 0
            ? 'nothing'
            : `${some(bridge.waiting, 'message')}${bridge.waitingBytes === undefined ? '' : `, ${bytes(bridge.waitingBytes)}`}`}
        </Fact>
        <Fact name="Oldest waiting">{bridge.oldest !== undefined && <Age at={bridge.oldest} />}</Fact>
        <Fact name="Going out">
          {rate(bridge.rateOut)}, {number(bridge.sent)} in all
        </Fact>
        <Fact name="Coming in">
          {rate(bridge.rateIn)}, {number(bridge.received)} in all
        </Fact>
        {bridge.lastError && bridge.state === 'connected' && <Fact name="Last error">{bridge.lastError}</Fact>}
      </Facts>
      <div class="buttons">
        {bridge.state === 'paused' ? (
          <Action
            icon="play"
            label={`Resume ${bridge.name}`}
            act={async () => (await act('resume', { bridge: bridge.name })).message}
          >
            Resume
          </Action>
        ) : (
          <Action
            icon="pause"
            label={`Pause ${bridge.name}`}
            act={async () => (await act('pause', { bridge: bridge.name })).message}
          >
            Pause
          </Action>
        )}
      </div>
      {bridge.dead > 0 && <DeadLetters bridge={bridge} />}
    </section>
  )
}

function stateOf(bridge: BridgeView): { tone: Tone; icon: IconName; words: string } {
  switch (bridge.state) {
    case 'connected':
      return { tone: 'ok', icon: 'ok', words: 'connected' }
    case 'paused':
      return { tone: 'warn', icon: 'pause', words: 'paused' }
    case 'connecting':
    case 'waiting':
      if (bridge.lastError !== undefined) return { tone: 'fail', icon: 'fail', words: 'not connected' }
      return { tone: 'warn', icon: 'wait', words: 'connecting' }
  }
}

function Drain(props: { drain: NonNullable<BridgeView['drain']> }) {
  const { done, of, endsAt } = props.drain
  const left = endsAt === undefined ? undefined : endsAt - now.value
  return (
    <label class="drain">
      <span>
        Catching up: {number(done)} of {number(of)}
        {left !== undefined && left > 0 && `, done in about ${duration(left)}`}
      </span>
      <progress max={of} value={done} />
    </label>
  )
}

function DeadLetters(props: { bridge: BridgeView }) {
  const shown = useSignal(false)
  const { bridge } = props
  return (
    <details class="more" onToggle={event => (shown.value = event.currentTarget.open)}>
      <summary>
        <State tone="warn" icon="warn">
          {some(bridge.dead, 'message')} the other side would not take
        </State>
      </summary>
      {shown.value && <DeadList bridge={bridge} />}
      <Action
        icon="again"
        label={`Send again what ${bridge.name} would not take`}
        act={async () => (await act('retry', { bridge: bridge.name })).message}
      >
        Send them again
      </Action>
    </details>
  )
}

function DeadList(props: { bridge: BridgeView }) {
  const asked = useAsked<readonly DeadLetterView[]>(`dead?bridge=${encodeURIComponent(props.bridge.name)}`)
  if (asked.refused) return <Unanswered asked={asked} />
  if (asked.value === undefined) return <Loading rows={2} />
  return (
    <ul class="plain-list">
      {asked.value.map((letter, index) => (
        <li key={index}>
          <Topic name={letter.topic} /> <span class="quiet-text">{bytes(letter.size)}</span>
          <p class="payload-line">{letter.base64 ? 'not text' : letter.payload}</p>
          <p class="quiet-text">{letter.reason}</p>
        </li>
      ))}
    </ul>
  )
}
