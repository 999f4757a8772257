/**
 * One value for each topic name, found by topic filter: retained messages. A search descends only
 * where the filter can still match and holds one iterator for each wildcard level above it, so a slow
 * reader of a wide tree costs no more memory than a fast one. Names and filters must be without fault
 * (`topics.ts`).
 */
import { findNode, LevelNode, makeNode, pruneNode } from './level-tree.ts'
import { beginsWithWildcard, isDollarTopic } from './topics.ts'

/** The children of one node, being gone through; each continues with the filter's level at `index`. */
interface Walk<V> {
  readonly children: Iterator<LevelNode<V>>
  readonly index: number
}

/** `V` is anything but null and undefined, which stand for "nothing here". */
export class NameTree<V extends {}> {
  readonly #root: LevelNode<V> = new LevelNode('', undefined)
  #size = 0

  /** Topic names that have a value. */
  get size(): number {
    return this.#size
  }

  /** Gives the value that was there before. */
  set(topic: string, value: V): V | undefined {
    const node = makeNode(this.#root, topic)
    const before = node.content
    if (before === undefined) this.#size++
    node.content = value
    return before
  }

  get(topic: string): V | undefined {
    return findNode(this.#root, topic)?.content
  }

  /** False when the topic had no value. */
  delete(topic: string): boolean {
    const node = findNode(this.#root, topic)
    if (node?.content === undefined) return false
    this.#size--
    node.content = undefined
    pruneNode(node)
    return true
  }

  /**
   * The values of all topic names that `filter` matches, in no promised order. The tree may change
   * meanwhile: a value that comes or goes then may be met or missed, every other is met once.
   */
  *matching(filter: string): Generator<V, void, undefined> {
    const levels = filter.split('/')
    // [MQTT-4.7.2-1]
    const hidesDollar = beginsWithWildcard(filter)
    const walks: Walk<V>[] = []
    let node: LevelNode<V> | undefined = this.#root
    let index = 0
    for (;;) {
      if (node === undefined) {
        const walk = walks.at(-1)
        if (walk === undefined) return
        const step = walk.children.next()
        if (step.done === true) {
          walks.pop()
          continue
        }
        // The first walk of a filter that begins with a wildcard goes through first levels.
        if (hidesDollar && walks.length === 1 && isDollarTopic(step.value.level)) continue
        node = step.value
        index = walk.index
      }
      const level = levels[index]
      // At the end of the filter, or at its '#', which also stands for no level at all.
      if ((level === undefined || level === '#') && node.content !== undefined) yield node.content
      if (level === '+' || level === '#') {
        const children: Map<string, LevelNode<V>> | undefined = node.children
        if (children !== undefined)
          walks.push({ children: children.values(), index: level === '#' ? index : index + 1 })
        node = undefined
      } else if (level === undefined) {
        node = undefined
      } else {
        node = node.children?.get(level)
        index++
      }
    }
  }
}
