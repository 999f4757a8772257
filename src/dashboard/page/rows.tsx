/**
 * A long list of rows of one height: only those on show (and a few around them) exist, from 200 rows on. Shorter lists
 * are all there, so that the browser's own search finds everything.
 */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

/** Up to here all rows exist. */
const ALL = 200
/** Rows that exist above and below what is seen: a fast thumb is not faster than two frames. */
const AROUND = 8

export interface RowsProps<T> {
  readonly items: readonly T[]
  /** px */
  readonly height: number
  readonly row: (item: T, index: number) => ComponentChildren
  readonly name: string
  /** Index of the row that must be on show. */
  readonly shown?: number | undefined
  /** The rows are a tree's: the keyboard is with all of it, and `active` is the id of the row that it is at. */
  readonly tree?: {
    readonly active: string | undefined
    readonly onKeyDown: (event: KeyboardEvent) => void
    readonly onFocus: () => void
  }
}

export function Rows<T>(props: RowsProps<T>) {
  const { items, height, shown } = props
  const box = useRef<HTMLDivElement>(null)
  const top = useSignal(0)
  const seen = useSignal(600)
  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    const watcher = new ResizeObserver(() => {
      seen.value = element.clientHeight
    })
    watcher.observe(element)
    return () => watcher.disconnect()
  }, [seen])
  useLayoutEffect(() => {
    const element = box.current
    if (element === null || shown === undefined || shown < 0) return
    const above = shown * height
    if (above < element.scrollTop) element.scrollTop = above
    else if (above + height > element.scrollTop + element.clientHeight) {
      element.scrollTop = above + height - element.clientHeight
    }
  }, [shown, height])

  const all = items.length <= ALL
  const first = all ? 0 : Math.max(0, Math.floor(top.value / height) - AROUND)
  const end = all ? items.length : Math.min(items.length, Math.ceil((top.value + seen.value) / height) + AROUND)
  const place = { paddingTop: `${first * height}px`, height: `${items.length * height}px` }
  const rows = items.slice(first, end).map((item, index) => props.row(item, first + index))
  return (
    <div
      ref={box}
      class="rows"
      onScroll={event => {
        if (!all) top.value = event.currentTarget.scrollTop
      }}
    >
      {props.tree === undefined ? (
        <ul class="rows-list" aria-label={props.name} style={place}>
          {rows}
        </ul>
      ) : (
        <div
          class="rows-list"
          role="tree"
          aria-label={props.name}
          tabIndex={0}
          aria-activedescendant={props.tree.active}
          onKeyDown={props.tree.onKeyDown}
          onFocus={props.tree.onFocus}
          style={place}
        >
          {rows}
        </div>
      )}
    </div>
  )
}
