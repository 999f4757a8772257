/** Which spools the rules of a bridge come to, and what each subscribes to. */
import { describe, expect, test } from 'vitest'
import { laneFilters, laneOf, mayMove, suffixOf } from '../../../src/bridge/lanes.ts'
import type { BridgeRule } from '../../../src/bridge/ports.ts'

const rule = (filter: string, more: Partial<BridgeRule> = {}): BridgeRule => ({ filter, qos: 1, ...more })
const lanes = (rules: BridgeRule[]) =>
  laneFilters(rules).map(({ lane, filters }) => [suffixOf({ ...lane, generation: 0 }), filters])

describe('lanes', () => {
  test('rules of one class are one, which subscribes to each local filter once, always with QoS 1 or 2', () => {
    const rules = [
      rule('a/#', { qos: 0, localPrefix: 'home/' }),
      rule('home/a/#', { qos: 2 }),
      rule('', { localPrefix: 'x', remotePrefix: 'y' }),
    ]
    expect(lanes(rules)).toEqual([
      [
        '',
        [
          { filter: 'home/a/#', qos: 2 },
          { filter: 'x', qos: 1 },
        ],
      ],
    ])
  })

  test('a topic that several rules match is in the lane of the one that carries it', () => {
    const rules = [
      rule('#'),
      rule('alarm/#', { priority: 'high' }),
      rule('meter/#', { priority: 'low', onBacklog: 60_000, remotePrefix: 'up/' }),
    ]
    expect(lanes(rules)).toEqual([
      ['', [{ filter: '#', qos: 1, except: ['meter/#'] }]],
      ['/low/latest', [{ filter: 'meter/#', qos: 1 }]],
      ['/high', [{ filter: 'alarm/#', qos: 1, except: ['meter/#', '#'] }]],
    ])
  })

  test('their names can be read again; what is no lane has none', () => {
    for (const generation of [0, 7]) {
      for (const priority of ['high', 'normal', 'low'] as const) {
        for (const isThin of [false, true]) {
          const lane = { generation, priority, isThin }
          expect(laneOf(suffixOf(lane))).toEqual(lane)
        }
      }
    }
    expect(['/dead', '/0', '/normal', '/high/1', '/latest/high', 'x'].map(laneOf)).toEqual(Array(6).fill(undefined))
  })

  test.each<[string, BridgeRule[], BridgeRule[], boolean]>([
    [
      'nothing has changed',
      [rule('a', { priority: 'high' }), rule('#')],
      [rule('a', { priority: 'high' }), rule('#')],
      false,
    ],
    ['another QoS', [rule('a', { priority: 'high' })], [rule('a', { priority: 'high', qos: 2 })], false],
    ['one lane before and after', [rule('a')], [rule('b'), rule('c/#')], false],
    ['another class', [rule('a')], [rule('a', { priority: 'high' })], true],
    [
      'a rule before another',
      [rule('a', { priority: 'high' }), rule('#')],
      [rule('#'), rule('a', { priority: 'high' })],
      true,
    ],
    ['the first rules', [], [rule('a')], false],
  ])('topics may move: %s', (_what, before, after, expected) => {
    expect(mayMove(laneFilters(before), laneFilters(after))).toBe(expected)
  })
})
