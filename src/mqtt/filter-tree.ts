/**
 * Topic filters and the values that are held under them, found by topic name. A match walks the tree
 * one topic level at a time with all nodes that are still possible, so its cost follows the filters
 * that match so far, not the number of filters. Filters and topic names must be without fault
 * (`topics.ts`).
 */
import { findNode, LevelNode, makeNode, pruneNode } from './level-tree.ts'
import { isDollarTopic, levelEnd } from './topics.ts'

/** Mostly a filter has one value: then it stands here by itself. */
type Node<V> = LevelNode<V | Set<V>>

/** Values are anything but sets. */
export class FilterTree<V extends NonNullable<unknown>> {
  readonly #root: Node<V> = new LevelNode('', undefined)
  #size = 0

  /** Pairs of a filter and a value. */
  get size(): number {
    return this.#size
  }

  /** Puts `value` under `filter`. Does nothing when it is there already. */
  add(filter: string, value: V): void {
    const node = makeNode(this.#root, filter)
    const { content } = node
    if (content instanceof Set ? content.has(value) : content === value) return
    if (content === undefined) node.content = value
    else if (content instanceof Set) content.add(value)
    else node.content = new Set([content, value])
    this.#size++
  }

  /** Takes `value` from under exactly this filter [MQTT-3.10.4-1]. False when it was not there. */
  remove(filter: string, value: V): boolean {
    const node = findNode(this.#root, filter)
    if (node === undefined) return false
    const { content } = node
    if (content instanceof Set ? !content.delete(value) : content !== value) return false
    this.#size--
    if (content instanceof Set && content.size > 0) return true
    node.content = undefined
    pruneNode(node)
    return true
  }

  /** The values of all filters that match `topic`; a value under two of them comes twice. */
  match(topic: string): V[] {
    const found: V[] = []
    let nodes: Node<V>[] = [this.#root]
    // [MQTT-4.7.2-1] Wildcards stand for no first level that begins with '$'.
    let wildcards = !isDollarTopic(topic)
    for (let start = 0; start <= topic.length && nodes.length > 0; ) {
      const end = levelEnd(topic, start)
      const level = topic.slice(start, end)
      const next: Node<V>[] = []
      for (const { children } of nodes) {
        if (children === undefined) continue
        const named = children.get(level)
        if (named !== undefined) next.push(named)
        if (!wildcards) continue
        const plus = children.get('+')
        if (plus !== undefined) next.push(plus)
        collect(children.get('#'), found)
      }
      nodes = next
      wildcards = true
      start = end + 1
    }
    for (const node of nodes) {
      // 'sport/#' matches 'sport' too. It comes first, as all wider filters do.
      collect(node.children?.get('#'), found)
      collect(node, found)
    }
    return found
  }
}

function collect<V>(node: Node<V> | undefined, found: V[]): void {
  if (node?.content === undefined) return
  if (node.content instanceof Set) for (const value of node.content) found.push(value)
  else found.push(node.content)
}
