/**
 * Short messages at the foot of the page: what was done, with a way back where there is one, and what was refused.
 * They are live regions, so a screen reader says them too; `say` is for changes of state that are seen elsewhere.
 */
import { signal } from '@preact/signals'
import { refusal } from './ask.ts'
import { Icon } from './icons.tsx'
import { after } from './time.ts'

interface Notice {
  readonly id: number
  readonly text: string
  readonly hint?: string
  readonly failed: boolean
  readonly undo?: () => void
}

/** How long a notice stays, in ms: long enough to be read, and to be taken back. */
const STAYS = 6000
const STAYS_WITH_UNDO = 30_000
/** More at once cover the page. */
const MOST = 3

const notices = signal<readonly Notice[]>([])
const spoken = signal('')
let last = 0

/** Tells a screen reader what has changed, politely. */
export function say(text: string): void {
  spoken.value = text
}

export function tell(text: string, undo?: () => void): void {
  add({ id: ++last, text, failed: false, ...(undo ? { undo } : {}) })
}

/** Tells what was refused, and what to do. */
export function tellRefusal(error: unknown): void {
  const { message, hint } = refusal(error)
  add({ id: ++last, text: message, failed: true, ...(hint ? { hint } : {}) })
}

function add(notice: Notice): void {
  notices.value = [...notices.peek(), notice].slice(-MOST)
  after(notice.undo ? STAYS_WITH_UNDO : STAYS, () => dismiss(notice.id))
}

function dismiss(id: number): void {
  notices.value = notices.peek().filter(notice => notice.id !== id)
}

export function Notices() {
  return (
    <div class="notices">
      <div role="status" aria-live="polite" class="unseen">
        {spoken.value}
      </div>
      {notices.value.map(notice => (
        <div
          key={notice.id}
          class={`notice${notice.failed ? ' notice-failed' : ''}`}
          role={notice.failed ? 'alert' : 'status'}
        >
          <Icon name={notice.failed ? 'warn' : 'ok'} />
          <p>
            {notice.text} {notice.hint && <span class="hint">{notice.hint}</span>}
          </p>
          {notice.undo && (
            <button
              type="button"
              class="plain"
              onClick={() => {
                dismiss(notice.id)
                notice.undo?.()
              }}
            >
              Undo
            </button>
          )}
          <button type="button" class="plain square" aria-label="Dismiss" onClick={() => dismiss(notice.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  )
}
