/** More about one thing, over the page: the browser's modal dialog, which keeps the focus and closes with Esc. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Icon } from './icons.tsx'
import { closeItem } from './route.ts'

export function Sheet(props: { title: string; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc closes it; the click is one beside it
    <dialog
      ref={dialog}
      class="dialog sheet"
      aria-labelledby="sheet-title"
      onCancel={event => {
        event.preventDefault()
        closeItem()
      }}
      onClick={event => {
        if (event.target === event.currentTarget) closeItem()
      }}
    >
      <div class="sheet-body">
        <header class="sheet-head">
          <h2 id="sheet-title">{props.title}</h2>
          <button type="button" class="plain square" aria-label="Close" onClick={closeItem}>
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  )
}
