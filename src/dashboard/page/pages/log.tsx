/** The end of the log. It can be held, so that a line can be read; what comes meanwhile is shown when it goes on. */
import { useSignal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import type { LogLine } from '../../api.ts'
import { log } from '../gateway.ts'
import { Icon, type IconName } from '../icons.tsx'
import { Empty, Loading, State, type Tone } from '../parts.tsx'
import { dateTime, timeOfDay } from '../words.ts'

type Level = LogLine['level']
const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']
const SHOWN: Readonly<Record<Level, { words: string; tone: Tone; icon: IconName }>> = {
  debug: { words: 'All lines', tone: 'quiet', icon: 'more' },
  info: { words: 'All but details', tone: 'quiet', icon: 'more' },
  warn: { words: 'Warnings and errors', tone: 'warn', icon: 'warn' },
  error: { words: 'Errors only', tone: 'fail', icon: 'fail' },
}

export function LogTail() {
  const level = useSignal<Level>('info')
  const held = useSignal<readonly LogLine[] | undefined>(undefined)
  const box = useRef<HTMLOListElement>(null)
  const known = held.value ?? log.value
  const lines = known?.filter(line => LEVELS.indexOf(line.level) >= LEVELS.indexOf(level.value))
  // The newest stays on show as long as it is on show.
  const atEnd = useRef(true)
  useLayoutEffect(() => {
    if (box.current !== null && atEnd.current) box.current.scrollTop = box.current.scrollHeight
  }, [lines])
  return (
    <section class="panel" aria-label="Log">
      <header class="panel-head">
        <h2>Log</h2>
        <div class="buttons">
          <label class="field">
            <span class="unseen">Lines to show</span>
            <select value={level.value} onChange={event => (level.value = event.currentTarget.value as Level)}>
              {LEVELS.map(one => (
                <option key={one} value={one}>
                  {SHOWN[one].words}
                </option>
              ))}
            </select>
          </label>
          <button
            type="button"
            aria-pressed={held.value !== undefined}
            onClick={() => {
              held.value = held.value === undefined ? (log.value ?? []) : undefined
            }}
          >
            <Icon name={held.value === undefined ? 'pause' : 'play'} />
            <span>{held.value === undefined ? 'Hold' : 'Go on'}</span>
          </button>
        </div>
      </header>
      {lines === undefined && <Loading rows={3} />}
      {lines?.length === 0 && <Empty title="No line of this kind" />}
      {lines !== undefined && lines.length > 0 && (
        <ol
          ref={box}
          class="log"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard
          tabIndex={0}
          aria-label="Log lines"
          onScroll={event => {
            const { scrollTop, scrollHeight, clientHeight } = event.currentTarget
            atEnd.current = scrollTop + clientHeight > scrollHeight - 8
          }}
        >
          {lines.map((line, index) => (
            <li key={index} class={`log-line ${SHOWN[line.level].tone}`}>
              <time dateTime={new Date(line.at).toISOString()} title={dateTime(line.at)}>
                {timeOfDay(line.at)}
              </time>{' '}
              {line.level !== 'info' && (
                <State tone={SHOWN[line.level].tone} icon={SHOWN[line.level].icon}>
                  {line.level}
                </State>
              )}{' '}
              {line.text}
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}
