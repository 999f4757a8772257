import { describe, expect, test } from 'vitest'
import {
  filterMatches,
  MAX_TOPIC_BYTES,
  splitShare,
  subscriptionFault,
  topicFilterFault,
  topicNameFault,
} from '../../../src/mqtt/topics.ts'

const MAX_LEVELS = 5

/** [clause, topic name, part of the fault or undefined] */
const NAMES: [string, string, string | undefined][] = [
  ['', 'a', undefined],
  ['', '/', undefined],
  ['', '/a//b/', undefined],
  ['', '$SYS/broker', undefined],
  ['', '__proto__/constructor', undefined],
  ['', '\u{feff}a', undefined],
  ['', 'Küche/Wärme 🌡', undefined],
  ['', 'a/b/c/d/e', undefined],
  ['MQTT-4.7.3-1', '', 'empty'],
  ['MQTT-4.7.3-2', 'a\0b', 'U+0000'],
  ['MQTT-3.3.2-2', '#', 'wildcards'],
  ['MQTT-3.3.2-2', 'a/+/b', 'wildcards'],
  ['MQTT-3.3.2-2', 'a+', 'wildcards'],
  ['MQTT-3.3.2-2', 'a#b', 'wildcards'],
  ['', 'a/b/c/d/e/f', '5 levels'],
  ['MQTT-1.5.3-1', 'a\ud800', 'surrogates'],
  ['MQTT-1.5.3-1', '\udc00b', 'surrogates'],
  ['MQTT-4.7.3-3', 'x'.repeat(MAX_TOPIC_BYTES), undefined],
  ['MQTT-4.7.3-3', 'x'.repeat(MAX_TOPIC_BYTES + 1), '65535 bytes'],
  ['MQTT-4.7.3-3', '€'.repeat(MAX_TOPIC_BYTES / 3), undefined],
  ['MQTT-4.7.3-3', `${'€'.repeat(MAX_TOPIC_BYTES / 3)}x`, '65535 bytes'],
]

/** [clause, topic filter, part of the fault or undefined] */
const FILTERS: [string, string, string | undefined][] = [
  ['MQTT-4.7.1-2', '#', undefined],
  ['MQTT-4.7.1-2', 'a/#', undefined],
  ['MQTT-4.7.1-2', '/#', undefined],
  ['MQTT-4.7.1-2', 'a#', 'last level'],
  ['MQTT-4.7.1-2', '#/', 'last level'],
  ['MQTT-4.7.1-2', '#/a', 'last level'],
  ['MQTT-4.7.1-2', '##', 'last level'],
  ['MQTT-4.7.1-2', 'a/#b', 'last level'],
  ['MQTT-4.7.1-3', '+', undefined],
  ['MQTT-4.7.1-3', '+/', undefined],
  ['MQTT-4.7.1-3', '/+', undefined],
  ['MQTT-4.7.1-3', '+/a/+/#', undefined],
  ['MQTT-4.7.1-3', 'a+', 'whole level'],
  ['MQTT-4.7.1-3', '+a', 'whole level'],
  ['MQTT-4.7.1-3', 'a/b+/c', 'whole level'],
  ['MQTT-4.7.1-3', '++', 'whole level'],
  ['MQTT-4.7.1-3', '+#', 'whole level'],
  ['MQTT-4.7.1-2', '#+', 'last level'],
  ['MQTT-4.7.3-1', '', 'empty'],
  ['MQTT-4.7.3-2', 'a\0', 'U+0000'],
  ['', 'a/b/c/d/#', undefined],
  ['', '+/+/+/+/+/#', '5 levels'],
  ['MQTT-1.5.3-1', 'a/\udfff/#', 'surrogates'],
  ['MQTT-4.7.3-3', 'x'.repeat(MAX_TOPIC_BYTES), undefined],
  ['MQTT-4.7.3-3', 'x'.repeat(MAX_TOPIC_BYTES + 1), '65535 bytes'],
]

/** [clause of MQTT 5, filter of a subscription, share name and topic filter in it, part of the fault or undefined] */
const SHARES: [string, string, [string, string] | undefined, string | undefined][] = [
  ['', 'a/b', undefined, undefined],
  ['', '$share', undefined, undefined],
  ['', '$shared/a/b', undefined, undefined],
  ['', '/$share/a/b', undefined, undefined],
  ['', 'a#', undefined, 'last level'],
  ['MQTT-4.8.2-1', '$share/g/a/b', ['g', 'a/b'], undefined],
  ['MQTT-4.8.2-2', '$share/g//finance', ['g', '/finance'], undefined],
  ['MQTT-4.8.2-2', '$share/g//', ['g', '/'], undefined],
  ['', '$share/Küche 1/#', ['Küche 1', '#'], undefined],
  ['', '$share/g/+/x/#', ['g', '+/x/#'], undefined],
  ['', '$share/g/$SYS/#', ['g', '$SYS/#'], undefined],
  ['', '$share/$share/$share/a', ['$share', '$share/a'], undefined],
  ['the levels of the topic filter count', '$share/g/a/b/c/d/e', ['g', 'a/b/c/d/e'], undefined],
  ['the levels of the topic filter count', '$share/g/a/b/c/d/e/f', ['g', 'a/b/c/d/e/f'], '5 levels'],
  ['MQTT-4.8.2-1', '$share/', ['', ''], 'share name must not be empty'],
  ['MQTT-4.8.2-1', '$share//a', ['', 'a'], 'share name must not be empty'],
  ['MQTT-4.8.2-2', '$share/ab', ['ab', ''], 'filter must not be empty'],
  ['MQTT-4.8.2-2', '$share/ab/', ['ab', ''], 'filter must not be empty'],
  ['MQTT-4.8.2-2', '$share/+/a', ['+', 'a'], 'share name must not contain wildcards'],
  ['MQTT-4.8.2-2', '$share/a+b/a', ['a+b', 'a'], 'share name must not contain wildcards'],
  ['MQTT-4.8.2-2', '$share/#', ['#', ''], 'share name must not contain wildcards'],
  ['MQTT-4.8.2-2', '$share/g/a#', ['g', 'a#'], 'last level'],
  ['MQTT-1.5.4-2', '$share/a\0/b', ['a\0', 'b'], 'U+0000'],
  ['MQTT-1.5.4-1', '$share/a\ud800/b', ['a\ud800', 'b'], 'surrogates'],
  ['MQTT-4.7.3-3', `$share/g/${'x'.repeat(MAX_TOPIC_BYTES - 9)}`, undefined, undefined],
  ['MQTT-4.7.3-3', `$share/g/${'x'.repeat(MAX_TOPIC_BYTES - 8)}`, undefined, '65535 bytes'],
]

/** [topic filter, topic names that it matches, topic names that it does not] */
const MATCHES: [string, string[], string[]][] = [
  [
    'sport/tennis/player1',
    ['sport/tennis/player1'],
    ['sport/tennis/player', 'sport/tennis/player12', 'Sport/tennis/player1'],
  ],
  [
    'sport/tennis/player1/#',
    ['sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport/tennis/player1/score/wimbledon'],
    ['sport/tennis/player10', 'sport/tennis'],
  ],
  ['sport/#', ['sport', 'sport/', 'sport/a/b'], ['sports', '/sport', 'spor']],
  ['#', ['a', '/', '/a', 'a/$SYS'], ['$SYS', '$SYS/a', '$']],
  ['sport/tennis/+', ['sport/tennis/player1', 'sport/tennis/'], ['sport/tennis', 'sport/tennis/player1/ranking']],
  ['+', ['finance', ''], ['/finance', 'finance/', '$SYS']],
  ['+/+', ['/finance', '/', 'a/b'], ['finance', 'a/b/c', '$SYS/a']],
  ['/+', ['/finance', '/'], ['finance', '/finance/']],
  ['+/tennis/#', ['a/tennis', '/tennis/b/c'], ['tennis', 'a/b/tennis', '$SYS/tennis']],
  ['+/monitor/Clients', ['a/monitor/Clients'], ['$SYS/monitor/Clients']],
  ['$SYS/#', ['$SYS', '$SYS/', '$SYS/a/b'], ['SYS', '$SYSTEM']],
  ['$SYS/monitor/+', ['$SYS/monitor/Clients', '$SYS/monitor/$x'], ['$SYS/monitor']],
  ['a//b', ['a//b'], ['a/b', 'a/x/b']],
  ['a/+/b', ['a//b', 'a/x/b'], ['a/b', 'a/x/y/b']],
  ['/#', ['/', '/a', '/a/b'], ['a', 'a/']],
  ['+/#', ['a', '/', 'a/b/c'], ['$a/b']],
  ['é', ['\u{e9}'], ['e\u{301}']],
]

describe('topicNameFault', () => {
  test.each(NAMES)('%s %j', (_clause, topic, fault) => {
    expectFault(topicNameFault(topic, MAX_LEVELS), fault)
  })
})

describe('topicFilterFault', () => {
  test.each(FILTERS)('%s %j', (_clause, filter, fault) => {
    expectFault(topicFilterFault(filter, MAX_LEVELS), fault)
  })

  test('counts levels, not slashes', () => {
    expect(topicNameFault('a/b', 2)).toBeUndefined()
    expect(topicNameFault('/'.repeat(65_400), 65_401)).toBeUndefined()
    expect(topicNameFault('/'.repeat(65_400), 65_400)).toMatch(/levels/)
  })
})

describe('filterMatches [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.2-1] [MQTT-4.7.3-4]', () => {
  test.each(MATCHES)('%s', (filter, matched, others) => {
    expect(matched.filter(topic => !filterMatches(filter, topic))).toEqual([])
    expect(others.filter(topic => filterMatches(filter, topic))).toEqual([])
  })
})

function expectFault(fault: string | undefined, expected: string | undefined): void {
  if (expected === undefined) expect(fault).toBeUndefined()
  else expect(fault).toContain(expected)
}

describe('shared subscriptions', () => {
  test.each(SHARES)('%s: %j', (_clause, filter, parts, fault) => {
    if (filter.length < 100) {
      expect(splitShare(filter)).toEqual(parts && { group: parts[0], filter: parts[1] })
    }
    if (fault === undefined) expect(subscriptionFault(filter, MAX_LEVELS)).toBeUndefined()
    else expect(subscriptionFault(filter, MAX_LEVELS)).toContain(fault)
  })
})
