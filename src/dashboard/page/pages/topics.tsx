/**
 * All topics as a tree, live. A row is as high as a finger and only those on show exist. The arrows move through the
 * tree, Enter opens a topic; beside the tree (on a phone: over it) is what the topic says, and a form to publish.
 */
import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import type { TopicState } from '../../api.ts'
import { topics, topicsChanged, topicsKnown, topicsShape } from '../gateway.ts'
import { Icon } from '../icons.tsx'
import { Age, Empty, Loading } from '../parts.tsx'
import { closeItem, item, open } from '../route.ts'
import { Rows } from '../rows.tsx'
import { isOpen, type TopicNode } from '../topic-tree.ts'
import { number, some } from '../words.ts'
import { Publish } from './publish.tsx'
import { TopicDetail } from './topic-detail.tsx'

/** px; a finger. */
const ROW = 44
/** Characters of a value in a row: more than any row shows. */
const PREVIEW = 120

/** Kept while other pages are looked at. */
const opened = new Map<string, boolean>()

export function TopicsPage() {
  const search = useSignal('')
  const active = useSignal<string | undefined>(undefined)
  const toggled = useSignal(0)
  const publishing = useSignal(false)
  const shape = topicsShape.value
  const text = search.value.trim()
  const round = toggled.value
  const found = text === '' ? 0 : topicsChanged.value
  // The tree is one object; the numbers say when it has changed.
  const rows = useMemo(() => (text === '' ? topics.rows(opened) : topics.find(text)), [shape, text, round, found])
  const toggle = (node: TopicNode, to: boolean): void => {
    opened.set(node.path, to)
    toggled.value++
  }
  const chosen = item.value
  useEffect(() => {
    const close = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape' || document.querySelector('dialog[open]') !== null) return
      if (publishing.peek()) publishing.value = false
      else if (item.peek() !== undefined) closeItem()
    }
    addEventListener('keydown', close)
    return () => removeEventListener('keydown', close)
  }, [publishing])
  return (
    <div class={`split${chosen === undefined && !publishing.value ? '' : ' split-open'}`}>
      <section class="split-list" aria-label="Topics">
        <header class="page-head">
          <h1>Topics</h1>
          <button type="button" onClick={() => (publishing.value = true)}>
            <Icon name="send" />
            <span>Publish</span>
          </button>
        </header>
        <label class="field search">
          <span class="unseen">Search topics and values</span>
          <Icon name="search" />
          <input
            type="search"
            placeholder="Search topics and values"
            value={search.value}
            onInput={event => (search.value = event.currentTarget.value)}
          />
          <Count shown={rows.length} searching={text !== ''} />
        </label>
        {!topicsKnown.value && <Loading rows={8} />}
        {topicsKnown.value && rows.length === 0 && <Nothing searching={text !== ''} />}
        {rows.length > 0 && <Tree rows={rows} flat={text !== ''} active={active} chosen={chosen} toggle={toggle} />}
      </section>
      {publishing.value ? (
        <section class="split-detail" aria-label="Publish a message">
          <Publish topic={chosen ?? ''} close={() => (publishing.value = false)} />
        </section>
      ) : (
        chosen !== undefined && (
          <section class="split-detail" aria-label={chosen}>
            <TopicDetail key={chosen} path={chosen} publish={() => (publishing.value = true)} />
          </section>
        )
      )}
    </div>
  )
}

function Count(props: { shown: number; searching: boolean }) {
  topicsShape.value
  return (
    <span class="quiet-text" role="status">
      {props.searching ? `${number(props.shown)} found` : topicsKnown.value ? some(topics.size, 'topic') : ''}
    </span>
  )
}

function Nothing(props: { searching: boolean }) {
  if (props.searching) return <Empty title="No topic has that in its name or value" />
  return (
    <Empty title="Nothing was published yet">
      <p>As soon as somebody publishes, it is seen here. Try it with “Publish”.</p>
    </Empty>
  )
}

interface TreeProps {
  readonly rows: readonly TopicNode[]
  readonly flat: boolean
  readonly active: Signal<string | undefined>
  readonly chosen: string | undefined
  readonly toggle: (node: TopicNode, to: boolean) => void
}

function Tree(props: TreeProps) {
  const { rows, flat, active, chosen, toggle } = props
  // New values paint the rows that are on show.
  topicsChanged.value
  const at = active.value === undefined ? -1 : rows.findIndex(row => row.path === active.value)
  const choose = (node: TopicNode): void => {
    active.value = node.path
    if (node.children.size > 0 && node.state === undefined) toggle(node, !isOpen(node, opened))
    else open('topics', node.path)
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const node = rows[at]
    const move = (to: number): void => {
      active.value = rows[Math.max(0, Math.min(rows.length - 1, to))]?.path
    }
    switch (event.key) {
      case 'ArrowDown':
        move(at + 1)
        break
      case 'ArrowUp':
        move(at - 1)
        break
      case 'Home':
        move(0)
        break
      case 'End':
        move(rows.length - 1)
        break
      case 'ArrowRight':
        if (node && node.children.size > 0 && !flat) toggle(node, true)
        break
      case 'ArrowLeft':
        if (node && node.children.size > 0 && isOpen(node, opened)) toggle(node, false)
        else if (node?.parent && node.parent.depth >= 0) active.value = node.parent.path
        break
      case 'Enter':
      case ' ':
        if (node) choose(node)
        break
      default:
        return
    }
    event.preventDefault()
  }
  return (
    <Rows
      items={rows}
      height={ROW}
      name="Topics"
      shown={at === -1 ? undefined : at}
      tree={{
        active: at === -1 ? undefined : `row-${at}`,
        onKeyDown,
        onFocus: () => (active.value ??= rows[0]?.path),
      }}
      row={(node, place) => (
        <TreeRow
          key={node.path}
          id={`row-${place}`}
          node={node}
          flat={flat}
          active={node.path === active.value}
          chosen={node.path === chosen}
          choose={choose}
          toggle={toggle}
        />
      )}
    />
  )
}

interface TreeRowProps {
  readonly id: string
  readonly node: TopicNode
  readonly flat: boolean
  readonly active: boolean
  readonly chosen: boolean
  readonly choose: (node: TopicNode) => void
  readonly toggle: (node: TopicNode, to: boolean) => void
}

function TreeRow(props: TreeRowProps) {
  const { node, flat } = props
  const branch = !flat && node.children.size > 0
  const shown = branch && isOpen(node, opened)
  const classes = ['tree-row', props.active && 'active', props.chosen && 'chosen', node.state === undefined && 'branch']
  return (
    // The tree around it has the keyboard, and names this row as the active one.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    // biome-ignore lint/a11y/useFocusableInteractive: see above
    <div
      id={props.id}
      class={classes.filter(Boolean).join(' ')}
      role="treeitem"
      aria-level={flat ? 1 : node.depth + 1}
      aria-expanded={branch ? shown : undefined}
      aria-selected={props.chosen}
      onClick={() => props.choose(node)}
    >
      {!flat && <span class="indent" style={{ width: `${node.depth * 16}px` }} />}
      {!flat && (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the left and right arrows do it
        // biome-ignore lint/a11y/noStaticElementInteractions: see above
        <span
          class={`twist${shown ? ' twist-open' : ''}`}
          onClick={event => {
            if (!branch) return
            event.stopPropagation()
            props.toggle(node, !shown)
          }}
        >
          {branch && <Icon name="open" />}
        </span>
      )}
      <span class="tree-name">{flat ? node.path : node.name === '' ? '(empty)' : node.name}</span>
      <span class="tree-value">{node.state === undefined ? some(node.topics, 'topic') : preview(node.state)}</span>
      <span class="tree-age">{node.state !== undefined && <Age at={node.state.at} />}</span>
      <span class="kept" title={node.state?.retained ? 'retained' : undefined}>
        {node.state?.retained && <Icon name="kept" />}
        {node.state?.retained && <span class="unseen">retained</span>}
      </span>
    </div>
  )
}

function preview(state: TopicState): string {
  if (state.base64) return `${number(state.size)} bytes, not text`
  return state.payload === '' ? '(empty)' : state.payload.slice(0, PREVIEW)
}
