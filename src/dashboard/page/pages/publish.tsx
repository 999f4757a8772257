/** A form to publish one message. It stays open, because the second try is the one that works. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { act } from '../ask.ts'
import { mayAct } from '../gateway.ts'
import { Icon } from '../icons.tsx'
import { tell, tellRefusal } from '../notices.tsx'

const QOS = [
  [0, '0 – at most once'],
  [1, '1 – at least once'],
  [2, '2 – exactly once'],
] as const

export function Publish(props: { topic: string; close: () => void }) {
  const topic = useSignal(props.topic)
  const payload = useSignal('')
  const qos = useSignal<0 | 1 | 2>(0)
  const retain = useSignal(false)
  const busy = useSignal(false)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  const fault = topicFault(topic.value)
  const publish = async (): Promise<void> => {
    busy.value = true
    try {
      const message = { topic: topic.value, payload: payload.value, qos: qos.value, retain: retain.value }
      tell((await act('publish', message)).message)
    } catch (error) {
      tellRefusal(error)
    } finally {
      busy.value = false
    }
  }
  return (
    <form
      class="form"
      onSubmit={event => {
        event.preventDefault()
        if (fault === undefined) void publish()
      }}
    >
      <header class="detail-head">
        <button type="button" class="plain square" aria-label="Close the form" onClick={props.close}>
          <Icon name="back" />
        </button>
        <h2>Publish a message</h2>
      </header>
      <label class="field">
        <span>Topic</span>
        <input
          ref={field}
          type="text"
          name="topic"
          required
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="/Home/Kitchen/Lamp/set"
          value={topic.value}
          aria-describedby="topic-fault"
          aria-invalid={topic.value !== '' && fault !== undefined}
          onInput={event => (topic.value = event.currentTarget.value)}
        />
      </label>
      <p id="topic-fault" class="hint field-hint" role="status">
        {topic.value === '' ? '' : fault}
      </p>
      <label class="field">
        <span>Message</span>
        <textarea
          name="payload"
          rows={5}
          spellcheck={false}
          value={payload.value}
          onInput={event => (payload.value = event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>QoS</span>
        <select value={qos.value} onChange={event => (qos.value = Number(event.currentTarget.value) as 0 | 1 | 2)}>
          {QOS.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={retain.value}
          onChange={event => (retain.value = event.currentTarget.checked)}
        />
        <span>
          Retained: keep it for who subscribes later
          {retain.value && payload.value === '' && ' (an empty one clears what is kept)'}
        </span>
      </label>
      <div class="buttons">
        <button type="submit" class="main" disabled={busy.value || fault !== undefined || !mayAct.value}>
          <Icon name="send" />
          <span>Publish message</span>
        </button>
      </div>
    </form>
  )
}

/** What the standard forbids of a topic name [MQTT-3.3.2-2]. */
function topicFault(topic: string): string | undefined {
  if (topic === '') return 'A message needs a topic.'
  if (/[+#]/.test(topic)) return '+ and # are for subscribing: a message goes to one topic.'
  if (topic.startsWith('$SYS/')) return '$SYS belongs to the gateway.'
  return undefined
}
