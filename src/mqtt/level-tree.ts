/**
 * Nodes of a tree over topic levels, shared by `FilterTree` and `NameTree`. Levels are keys of a Map,
 * so no name is special; an empty level is a level. A node knows its parent, so pruning needs no
 * record of the way down, and nothing here recurses: depth costs no stack.
 */
import { levelEnd } from './topics.ts'

export class LevelNode<T> {
  readonly level: string
  readonly parent: LevelNode<T> | undefined
  /** Absent rather than empty: most nodes are leaves. */
  children: Map<string, LevelNode<T>> | undefined = undefined
  content: T | undefined = undefined

  constructor(level: string, parent: LevelNode<T> | undefined) {
    this.level = level
    this.parent = parent
  }
}

/** The node of a topic name or filter, or undefined when there is none. */
export function findNode<T>(root: LevelNode<T>, path: string): LevelNode<T> | undefined {
  let node: LevelNode<T> | undefined = root
  for (let start = 0; node !== undefined && start <= path.length; ) {
    const end = levelEnd(path, start)
    node = node.children?.get(path.slice(start, end))
    start = end + 1
  }
  return node
}

/** The node of a topic name or filter, made when there is none. */
export function makeNode<T>(root: LevelNode<T>, path: string): LevelNode<T> {
  let node = root
  for (let start = 0; start <= path.length; ) {
    const end = levelEnd(path, start)
    const level = path.slice(start, end)
    node.children ??= new Map()
    let child = node.children.get(level)
    if (child === undefined) {
      child = new LevelNode(level, node)
      node.children.set(level, child)
    }
    node = child
    start = end + 1
  }
  return node
}

/** Takes `node` and its ancestors out of the tree as far as they hold nothing. */
export function pruneNode<T>(node: LevelNode<T>): void {
  let empty: LevelNode<T> = node
  while (empty.parent !== undefined && empty.content === undefined && empty.children === undefined) {
    const parent: LevelNode<T> = empty.parent
    parent.children?.delete(empty.level)
    if (parent.children?.size === 0) parent.children = undefined
    empty = parent
  }
}
