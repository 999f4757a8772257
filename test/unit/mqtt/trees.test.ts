import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { FilterTree } from '../../../src/mqtt/filter-tree.ts'
import { NameTree } from '../../../src/mqtt/name-tree.ts'

/** CVE-2019-11779: as many levels as a topic can have. */
const DEEP = '/'.repeat(65_400)

const CHURN = 20_000

/** Less than one node takes, so that one left of each would be seen. */
const BYTES_OF_NODE = 40

describe('FilterTree', () => {
  test('counts a pair once and gives a value once for each filter that matches', () => {
    const tree = new FilterTree<string>()
    tree.add('a/+', 'x')
    tree.add('a/+', 'x')
    tree.add('a/#', 'x')
    tree.add('a/b', 'y')
    expect(tree.size).toBe(3)
    expect(tree.match('a/b').sort()).toEqual(['x', 'x', 'y'])
    expect(tree.match('a')).toEqual(['x'])
    expect(tree.match('b')).toEqual([])
  })

  test('removes exactly the pair that was asked for [MQTT-3.10.4-1]', () => {
    const tree = new FilterTree<string>()
    tree.add('a/b', 'x')
    tree.add('a/b/c', 'y')
    expect(tree.remove('a/b', 'y')).toBe(false)
    expect(tree.remove('a/+', 'x')).toBe(false)
    expect(tree.remove('a', 'x')).toBe(false)
    expect(tree.remove('a/b/c/d', 'y')).toBe(false)
    expect(tree.remove('a/b', 'x')).toBe(true)
    expect(tree.remove('a/b', 'x')).toBe(false)
    expect(tree.match('a/b/c')).toEqual(['y'])
    expect(tree.size).toBe(1)
  })

  test('keeps nothing of filters that are gone', () => {
    const tree = new FilterTree<number>()
    tree.add('a/b', 0)
    expect(
      heapGrowth(() => {
        for (let i = 0; i < CHURN; i++) tree.add(`a/b/${i}/+/#`, i)
        for (let i = 0; i < CHURN; i++) tree.remove(`a/b/${i}/+/#`, i)
      }),
    ).toBeLessThan(CHURN * BYTES_OF_NODE)
    expect(tree.match('a/b')).toEqual([0])
  })

  test('knows no special names', () => {
    const tree = new FilterTree<number>()
    tree.add('__proto__/constructor', 1)
    tree.add('+/constructor', 2)
    expect(tree.match('__proto__/constructor')).toEqual([1, 2])
    expect(tree.match('a/constructor')).toEqual([2])
    expect(tree.match('__proto__/toString')).toEqual([])
    expect(new FilterTree<number>().match('__proto__')).toEqual([])
  })

  test('takes the deepest filters and topics in its stride', () => {
    const tree = new FilterTree<number>()
    tree.add(DEEP, 1)
    tree.add('#', 2)
    tree.add(`${'+/'.repeat(32_000)}#`, 3)
    expect(tree.match(DEEP).sort()).toEqual([1, 2, 3])
    expect(tree.remove(DEEP, 1)).toBe(true)
    expect(tree.match(DEEP).sort()).toEqual([2, 3])
  })
})

describe('NameTree', () => {
  test('sets, replaces, gets and deletes', () => {
    const tree = new NameTree<number>()
    tree.set('a/b', 0)
    tree.set('a/b', 1)
    tree.set('a', 2)
    expect([tree.size, tree.get('a/b'), tree.get('a'), tree.get('b')]).toEqual([2, 1, 2, undefined])
    expect(tree.delete('a/b/c')).toBe(false)
    expect(tree.delete('a')).toBe(true)
    expect(tree.delete('a')).toBe(false)
    expect([tree.size, tree.get('a/b'), tree.get('a')]).toEqual([1, 1, undefined])
  })

  test('hides topics that begin with $ from wildcards in the first level only [MQTT-4.7.2-1]', () => {
    const tree = treeOf(['$SYS', '$SYS/up', 'a/$b', '/$c'])
    expect(found(tree, '#')).toEqual(['/$c', 'a/$b'])
    expect(found(tree, '+')).toEqual([])
    expect(found(tree, '+/+')).toEqual(['/$c', 'a/$b'])
    expect(found(tree, '$SYS/#')).toEqual(['$SYS', '$SYS/up'])
    expect(found(tree, 'a/#')).toEqual(['a/$b'])
    expect(found(tree, '/+')).toEqual(['/$c'])
  })

  test('may change while it is searched', () => {
    const tree = treeOf(['a/1', 'a/2', 'a/3', 'b/1'])
    const seen: string[] = []
    for (const topic of tree.matching('+/+')) {
      seen.push(topic)
      tree.delete(topic)
      tree.delete('a/3')
      tree.set('c/1', 'c/1')
      if (seen.length > 10) break
    }
    expect(seen.filter(topic => topic !== 'c/1')).toEqual(['a/1', 'a/2', 'b/1'])
    expect(tree.get('a/3')).toBeUndefined()
  })

  test('keeps nothing of topics that are gone', () => {
    const tree = treeOf(['a/b'])
    expect(
      heapGrowth(() => {
        for (let i = 0; i < CHURN; i++) tree.set(`a/b/${i}/c/d`, 'x')
        for (let i = 0; i < CHURN; i++) tree.delete(`a/b/${i}/c/d`)
      }),
    ).toBeLessThan(CHURN * BYTES_OF_NODE)
    expect(found(tree, '#')).toEqual(['a/b'])
  })

  test('a reader that stops in a wide tree can be left', () => {
    const tree = treeOf(Array.from({ length: 1_000 }, (_, i) => `a/${i}`))
    const [first] = tree.matching('#')
    expect(first).toBe('a/0')
  })

  test('takes the deepest topics in its stride', () => {
    const tree = treeOf([DEEP])
    expect(found(tree, '#')).toEqual([DEEP])
    expect(found(tree, DEEP)).toEqual([DEEP])
    expect(found(tree, '+/+')).toEqual([])
    expect(tree.delete(DEEP)).toBe(true)
    expect(found(tree, '#')).toEqual([])
  })
})

function treeOf(topics: string[]): NameTree<string> {
  const tree = new NameTree<string>()
  for (const topic of topics) tree.set(topic, topic)
  return tree
}

function found(tree: NameTree<string>, filter: string): string[] {
  return [...tree.matching(filter)].sort()
}

/** Bytes that `work` leaves on the heap. */
function heapGrowth(work: () => void): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  const before = getHeapStatistics().used_heap_size
  work()
  gc()
  return getHeapStatistics().used_heap_size - before
}
