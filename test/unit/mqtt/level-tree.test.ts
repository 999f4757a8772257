import { describe, expect, test } from 'vitest'
import { findNode, LevelNode, makeNode, pruneNode } from '../../../src/mqtt/level-tree.ts'

describe('the level tree', () => {
  test('makes one node a level, empty levels included', () => {
    const root = new LevelNode<number>('', undefined)
    const node = makeNode(root, '/a//')
    expect(pathOf(node)).toEqual(['', 'a', '', ''])
    expect(makeNode(root, '/a//')).toBe(node)
    expect(findNode(root, '/a//')).toBe(node)
    expect(findNode(root, '/a/')).toBe(node.parent)
    expect(findNode(root, '/b')).toBeUndefined()
  })

  test('prunes upwards as far as nothing is held', () => {
    const root = new LevelNode<number>('', undefined)
    makeNode(root, 'a').content = 1
    const leaf = makeNode(root, 'a/b/c/d')
    const sibling = makeNode(root, 'a/b/x')
    sibling.content = 2
    pruneNode(leaf)
    expect(findNode(root, 'a/b/c')).toBeUndefined()
    expect(findNode(root, 'a/b/x')).toBe(sibling)
    sibling.content = undefined
    pruneNode(sibling)
    expect(findNode(root, 'a')?.children).toBeUndefined()
    expect(findNode(root, 'a')?.content).toBe(1)
  })

  test('does not prune a node that holds something, nor the root', () => {
    const root = new LevelNode<number>('', undefined)
    const node = makeNode(root, 'a/b')
    makeNode(root, 'a/b/c')
    pruneNode(node)
    expect(findNode(root, 'a/b/c')).toBeDefined()
    pruneNode(root)
    expect(root.children?.size).toBe(1)
  })
})

function pathOf(node: LevelNode<number>): string[] {
  const path: string[] = []
  for (let at: LevelNode<number> = node; at.parent !== undefined; at = at.parent) path.unshift(at.level)
  return path
}
