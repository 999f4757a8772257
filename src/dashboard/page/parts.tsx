/** Small pieces that all pages use: states, ages, empty places, buttons that work, lines to copy. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import type { Asked } from './asked.ts'
import { mayAct } from './gateway.ts'
import { Icon, type IconName } from './icons.tsx'
import { tell, tellRefusal } from './notices.tsx'
import { now } from './time.ts'
import { ago, dateTime, duration, levels } from './words.ts'

export type Tone = 'ok' | 'warn' | 'fail' | 'quiet'

/** A state: always an icon, words and a colour. */
export function State(props: { tone: Tone; icon: IconName; children: ComponentChildren }) {
  return (
    <span class={`state ${props.tone}`}>
      <Icon name={props.icon} />
      <span>{props.children}</span>
    </span>
  )
}

/** How long ago `at` was; the moment itself when one asks for it. */
export function Age(props: { at: number; bare?: boolean }) {
  const age = now.value - props.at
  return (
    <time dateTime={new Date(props.at).toISOString()} title={dateTime(props.at)}>
      {props.bare ? duration(age) : ago(age)}
    </time>
  )
}

/** A topic, which may wrap at its slashes. */
export function Topic(props: { name: string }) {
  return (
    <span class="topic">
      {levels(props.name).map((level, index) => (
        <span key={index}>
          <wbr />
          {level}
        </span>
      ))}
    </span>
  )
}

/** Something is on its way: places of the size of what will come, seen only when it takes long. */
export function Loading(props: { rows?: number; kind?: 'row' | 'card' }) {
  return (
    <div class={props.kind === 'card' ? 'cards loading' : 'loading'} role="status">
      <span class="unseen">Loading</span>
      {Array.from({ length: props.rows ?? 4 }, (_, index) => (
        <div key={index} class={props.kind === 'card' ? 'card skeleton' : 'row skeleton'} />
      ))}
    </div>
  )
}

/** Nothing is here: why, and what comes next. */
export function Empty(props: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h3>{props.title}</h3>
      {props.children}
    </div>
  )
}

/** What went wrong, and what to do. */
export function Failure(props: { message: string; hint?: string | undefined; children?: ComponentChildren }) {
  return (
    <div class="failure" role="alert">
      <State tone="fail" icon="warn">
        {props.message}
      </State>
      {props.hint && <p>{props.hint}</p>}
      {props.children}
    </div>
  )
}

/** Why an answer did not come, and the way to ask again. */
export function Unanswered(props: { asked: Asked<unknown> }) {
  const { refused, again } = props.asked
  if (refused === undefined) return null
  return (
    <Failure {...refused}>
      <p>
        <button type="button" onClick={() => void again()}>
          Try again
        </button>
      </p>
    </Failure>
  )
}

export interface ActionProps {
  /** What it does; its answer is told. Undefined tells nothing. */
  readonly act: () => Promise<string | undefined>
  readonly children: ComponentChildren
  readonly icon?: IconName
  readonly kind?: 'danger' | 'main' | 'plain'
  readonly disabled?: boolean
  /** Where the words on it do not say on what it acts. */
  readonly label?: string
  /** Also works while the gateway does not. */
  readonly always?: boolean
}

/** A button that has something done: off while it is being done and while the gateway cannot hear it. */
export function Action(props: ActionProps) {
  const busy = useSignal(false)
  const act = async (): Promise<void> => {
    busy.value = true
    try {
      const message = await props.act()
      if (message !== undefined) tell(message)
    } catch (error) {
      tellRefusal(error)
    } finally {
      busy.value = false
    }
  }
  return (
    <button
      type="button"
      class={props.kind}
      disabled={busy.value || props.disabled || !(props.always || mayAct.value)}
      aria-label={props.label}
      aria-busy={busy.value}
      onClick={() => void act()}
    >
      {props.icon && <Icon name={props.icon} />}
      <span>{props.children}</span>
    </button>
  )
}

/** Lines of a configuration or a command line, and a button that copies them. */
export function Lines(props: { text: string; of: string }) {
  return (
    <div class="lines">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <pre tabIndex={0}>{props.text}</pre>
      <button type="button" aria-label={`Copy the lines for ${props.of}`} onClick={() => void copy(props.text)}>
        <Icon name="copy" />
        <span>Copy</span>
      </button>
    </div>
  )
}

async function copy(text: string): Promise<void> {
  try {
    if (navigator.clipboard === undefined) copyOldWay(text)
    else await navigator.clipboard.writeText(text)
    tell('Copied.')
  } catch {
    tellRefusal(new Error('The browser did not allow copying: mark the lines and copy them by hand.'))
  }
}

/** Without https a browser offers no clipboard; this is what still works there. */
function copyOldWay(text: string): void {
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'unseen'
  document.body.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  if (!done) throw new Error('refused')
}

/** Facts with their names. What is undefined is not known, and is a dash. */
export function Facts(props: { children: ComponentChildren }) {
  return <dl class="facts">{props.children}</dl>
}

export function Fact(props: { name: string; children?: ComponentChildren }) {
  const { children } = props
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{children === undefined || children === null || children === false ? '–' : children}</dd>
    </div>
  )
}
