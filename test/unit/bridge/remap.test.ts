import { describe, expect, test } from 'vitest'
import type { BridgeRule } from '../../../src/bridge/ports.ts'
import { routeOf } from '../../../src/bridge/remap.ts'

function rule(filter: string, qos: 0 | 1, localPrefix?: string, remotePrefix?: string): BridgeRule {
  return { filter, qos, localPrefix, remotePrefix }
}

describe('remapping', () => {
  test.each<[string, BridgeRule[], string, string | undefined]>([
    ['no prefixes: as it is', [rule('#', 1)], 'home/t', 'home/t'],
    ['local prefix goes', [rule('#', 1, 'home/')], 'home/t', 't'],
    ['remote prefix comes', [rule('#', 1, undefined, 'site1/')], 'home/t', 'site1/home/t'],
    ['both', [rule('kitchen/#', 1, 'home/', 'site1/')], 'home/kitchen/t', 'site1/kitchen/t'],
    ['a prefix is not a level', [rule('#', 1, undefined, 'site1')], '/home/t', 'site1/home/t'],
    ['empty prefixes are none', [rule('#', 1, '', '')], 'home/t', 'home/t'],
    [
      'empty filter: one topic to one topic',
      [rule('', 1, 'home/t', 'cloud/temperature')],
      'home/t',
      'cloud/temperature',
    ],
    ['empty filter: no other topic', [rule('', 1, 'home/t', 'cloud/temperature')], 'home/t/x', undefined],
    ['a local prefix with a wildcard matches and stays', [rule('t', 1, '+/', 'up/')], 'home/t', 'up/home/t'],
    ['no rule', [rule('kitchen/#', 1, 'home/')], 'home/bath/t', undefined],
    ['the first with a prefix wins', [rule('k/#', 1, '', 'a/'), rule('#', 1, '', 'b/')], 'k/t', 'a/k/t'],
    ['one with a prefix wins over an earlier one without', [rule('#', 1), rule('#', 1, '', 'b/')], 't', 'b/t'],
    ['wildcards do not reach $ topics [MQTT-4.7.2-1]', [rule('#', 1, '', 'b/')], '$SYS/broker/uptime', undefined],
    ['$ topics by name', [rule('$SYS/#', 1, '', 'b/')], '$SYS/broker/uptime', 'b/$SYS/broker/uptime'],
    ['nothing left is no topic [MQTT-4.7.3-1]', [rule('#', 1, 'home')], 'home', undefined],
    ['a remote prefix with a wildcard gives no topic [MQTT-3.3.2-2]', [rule('#', 1, '', 'a/+/')], 't', undefined],
    ['too long gives no topic [MQTT-4.7.3-3]', [rule('#', 1, '', 'a'.repeat(65_535))], 't', undefined],
  ])('%s', (_what, rules, topic, expected) => {
    expect(routeOf(rules, topic)?.topic).toBe(expected)
  })

  test('the rule that maps decides the QoS', () => {
    const rules = [rule('#', 1), rule('fast/#', 0, '', 'up/')]
    expect(routeOf(rules, 'fast/t')).toMatchObject({ topic: 'up/fast/t', qos: 0, keepsRetain: true })
    expect(routeOf(rules, 'slow/t')).toMatchObject({ topic: 'slow/t', qos: 1, keepsRetain: true })
  })
})
