/**
 * The topics as a tree of levels. Values change often and structure seldom: a new value is one entry in a map, and the
 * rows on show are only put together again when a topic has come or gone or a branch was opened. Levels are sorted when
 * they are looked at. A leading slash belongs to the first level: `/Home/Kitchen` is `/Home` and `Kitchen`.
 */
import type { TopicState } from '../api.ts'

export interface TopicNode {
  readonly name: string
  /** The topic of this level. */
  readonly path: string
  readonly depth: number
  readonly parent: TopicNode | undefined
  readonly children: Map<string, TopicNode>
  /** Absent where nothing was published on the level itself. */
  state: TopicState | undefined
  /** Topics on this level and under it. */
  topics: number
  sorted: TopicNode[] | undefined
  /** The round in which its state came. */
  round: number
}

/** Levels that are open unless the person closes them: enough to see something, few enough to see it all. */
const OPEN_DEPTH = 2

const byName = new Intl.Collator(undefined, { numeric: true }).compare

export class TopicTree {
  readonly #root = nodeOf('', '', undefined, -1)
  readonly #nodes = new Map<string, TopicNode>()
  #round = 0

  get size(): number {
    return this.#root.topics
  }

  get(path: string): TopicNode | undefined {
    return this.#nodes.get(path)
  }

  /** Takes new values. True when a topic is new. */
  put(states: readonly TopicState[]): boolean {
    let grown = false
    for (const state of states) {
      const node = this.#nodes.get(state.topic) ?? this.#make(state.topic)
      if (node.state === undefined) {
        grown = true
        for (let up: TopicNode | undefined = node; up !== undefined; up = up.parent) up.topics++
      }
      node.state = state
      node.round = this.#round
    }
    return grown
  }

  /** Takes topics away. True when one of them was there. */
  remove(topics: readonly string[]): boolean {
    let shrunk = false
    for (const topic of topics) {
      const node = this.#nodes.get(topic)
      if (node?.state === undefined) continue
      shrunk = true
      node.state = undefined
      for (let up: TopicNode | undefined = node; up !== undefined; up = up.parent) up.topics--
      for (let up = node; up.topics === 0 && up.parent !== undefined; up = up.parent) {
        up.parent.children.delete(up.name)
        up.parent.sorted = undefined
        this.#nodes.delete(up.path)
      }
    }
    return shrunk
  }

  /** All topics will be put again. */
  begin(): void {
    this.#round++
  }

  /** Takes away what was not put since `begin`. True when there was something. */
  sweep(): boolean {
    const old = [...this.#nodes.values()].filter(node => node.state !== undefined && node.round < this.#round)
    return this.remove(old.map(node => node.path))
  }

  clear(): void {
    this.#nodes.clear()
    this.#root.children.clear()
    this.#root.sorted = undefined
    this.#root.topics = 0
  }

  /** What is on show, from the top. `opened` is what the person has opened (true) or closed (false). */
  rows(opened: ReadonlyMap<string, boolean>): TopicNode[] {
    const rows: TopicNode[] = []
    const visit = (node: TopicNode): void => {
      for (const child of sortedChildren(node)) {
        rows.push(child)
        if (child.children.size > 0 && isOpen(child, opened)) visit(child)
      }
    }
    visit(this.#root)
    return rows
  }

  /** Topics that have `text` in their name or value, in order. */
  find(text: string): TopicNode[] {
    const wanted = text.toLowerCase()
    const found: TopicNode[] = []
    this.#each(this.#root, node => {
      const { state } = node
      if (state === undefined) return
      const inValue = state.base64 === undefined && state.payload.toLowerCase().includes(wanted)
      if (inValue || state.topic.toLowerCase().includes(wanted)) found.push(node)
    })
    return found
  }

  /** Topics on `path` and under it that have a retained message. */
  retainedUnder(path: string): string[] {
    const node = this.#nodes.get(path)
    const topics: string[] = []
    if (node !== undefined) {
      this.#each(node, found => {
        if (found.state?.retained) topics.push(found.state.topic)
      })
    }
    return topics
  }

  #each(node: TopicNode, visit: (node: TopicNode) => void): void {
    visit(node)
    for (const child of sortedChildren(node)) this.#each(child, visit)
  }

  #make(topic: string): TopicNode {
    let node = this.#root
    // The slash at index 0, if any, belongs to the first level.
    for (let end = topic.indexOf('/', 1); ; end = topic.indexOf('/', end + 1)) {
      const path = end === -1 ? topic : topic.slice(0, end)
      let next = this.#nodes.get(path)
      if (next === undefined) {
        const start = node.path === '' ? 0 : node.path.length + 1
        next = nodeOf(path.slice(start), path, node, node.depth + 1)
        this.#nodes.set(path, next)
        node.children.set(next.name, next)
        node.sorted = undefined
      }
      node = next
      if (end === -1) return node
    }
  }
}

/** Whether the levels under `node` are on show. */
export function isOpen(node: TopicNode, opened: ReadonlyMap<string, boolean>): boolean {
  return opened.get(node.path) ?? (node.depth < OPEN_DEPTH && !node.path.startsWith('$'))
}

function sortedChildren(node: TopicNode): TopicNode[] {
  node.sorted ??= [...node.children.values()].sort((a, b) => byName(a.name, b.name))
  return node.sorted
}

function nodeOf(name: string, path: string, parent: TopicNode | undefined, depth: number): TopicNode {
  return { name, path, depth, parent, children: new Map(), state: undefined, topics: 0, sorted: undefined, round: 0 }
}
