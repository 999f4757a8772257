/** Asks before something is done that cannot be taken back, in the browser's own modal dialog: focus and Esc are its. */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'

interface Question {
  readonly title: string
  readonly text: string
  /** What the button does, in words: never "OK". */
  readonly action: string
  readonly answer: (yes: boolean) => void
}

const question = signal<Question | undefined>(undefined)

/** True when the person says so. */
export function confirmed(what: { title: string; text: string; action: string }): Promise<boolean> {
  return new Promise(resolve => {
    question.value = { ...what, answer: resolve }
  })
}

export function Confirm() {
  const dialog = useRef<HTMLDialogElement>(null)
  const asked = question.value
  useEffect(() => {
    if (asked !== undefined) dialog.current?.showModal()
  }, [asked])
  if (asked === undefined) return null
  const answer = (yes: boolean): void => {
    question.value = undefined
    asked.answer(yes)
  }
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="confirm-title" onCancel={() => answer(false)}>
      <h2 id="confirm-title">{asked.title}</h2>
      <p>{asked.text}</p>
      <div class="buttons">
        <button type="button" onClick={() => answer(false)}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => answer(true)}>
          {asked.action}
        </button>
      </div>
    </dialog>
  )
}
