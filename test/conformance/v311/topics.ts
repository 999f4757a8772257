/** MQTT 3.1.1, §4.7: topic names, topic filters and their wildcards. */
import {
  connect,
  expect,
  nothing,
  publish,
  type Row,
  raw,
  type Steps,
  send,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import { closes } from './bytes.ts'

/** A subscription to `filter` gets what is published to `matching`, now and retained, and nothing of `others`. */
function matches(filter: string, matching: readonly string[], others: readonly string[]): readonly Steps[] {
  return [
    connect('live'),
    subscribe('live', filter),
    ...others.map(topic => publish({ topic, payload: 'other', retain: true })),
    ...matching.flatMap(topic => [
      publish({ topic, payload: 'match', retain: true }),
      expect('live', { cmd: 'publish', topic, payload: 'match', retain: false }),
    ]),
    nothing('live'),
    connect('late'),
    subscribe('late', filter),
    {
      do: 'unordered',
      on: 'late',
      patterns: matching.map(topic => ({ cmd: 'publish', topic, payload: 'match', retain: true })),
    },
    nothing('late'),
  ]
}

/** SUBSCRIBE, and UNSUBSCRIBE, with each of these filters closes the connection. */
const closesOn = (...filters: string[]): readonly Steps[] =>
  closes(
    ...filters.map(filter => raw(0x82, 0, 1, utf8(filter), 0)),
    ...filters.map(filter => raw(0x82, 0, 1, utf8('~/good'), 0, utf8(filter), 0)),
    ...filters.map(filter => raw(0xa2, 0, 1, utf8(filter))),
  )

export const TOPICS: readonly Row[] = [
  {
    clause: ['MQTT-4.7.1-2'],
    title: '# matches the level it follows, and any number below',
    steps: matches('~/a/#', ['~/a', '~/a/', '~/a/b', '~/a/b/c', '~/a//'], ['~', '~/', '~/ab', '~/b/a', '/~/a']),
  },
  {
    clause: ['MQTT-4.7.1-2'],
    title: 'a # that is not the last, or not alone in its level, closes the connection',
    steps: closesOn('~#', '~/#/', '~/#/b', '~/a#', '~/#b', '##', '#/~', '#/#', '~/+#', '~/#+'),
  },
  {
    clause: ['MQTT-4.7.1-3'],
    title: '+ matches one level, an empty one as well',
    steps: matches('~/+/c', ['~/b/c', '~//c', '~/$b/c'], ['~/c', '~/b', '~/b/b/c', '~/b/c/', '/~/b/c']),
  },
  {
    clause: ['MQTT-4.7.1-3'],
    title: '+ at the end does not match the level above',
    steps: matches('~/+', ['~/a', '~/'], ['~', '~/a/b', '~/a/', '~a']),
  },
  {
    clause: ['MQTT-4.7.1-3', 'MQTT-4.7.1-2'],
    title: '+ may be any level, also the first and several, also before #',
    steps: matches('+/~/+/#', ['a/~/b', '/~/', 'a/~/b/c/d', 'a/~/b/'], ['a/~', '~/b/c', 'a/b/~/c', '$a/~/b']),
  },
  {
    clause: ['MQTT-4.7.1-3'],
    title: 'a + that is not alone in its level closes the connection',
    steps: closesOn('~+', '+~', '~/a+', '~/+b', '~/+b/c', '++', '~/++/b'),
  },
  {
    clause: ['MQTT-4.7.1-1', 'MQTT-4.7.3-1', 'MQTT-4.7.3-2'],
    title: 'a topic name that is empty, or has a wildcard or U+0000, closes the connection',
    steps: closes(
      ...['', '+', '#', '~/+', '~/#', '~\0', '\0'].flatMap(topic => [
        raw(0x30, utf8(topic), text('x')),
        raw(0x32, utf8(topic), 0, 1, text('x')),
      ]),
    ),
  },
  {
    clause: ['MQTT-4.7.3-1', 'MQTT-4.7.3-2'],
    title: 'an empty filter, or one with U+0000, closes the connection',
    steps: closesOn('', '~/\0', '\0'),
  },
  {
    clause: ['MQTT-4.7.3-1'],
    title: 'one character is enough, a slash and a space too',
    broker: 'own',
    steps: [
      connect('a'),
      subscribe('a', '/', ' ', 'x'),
      ...['/', ' ', 'x'].flatMap(topic => [
        publish({ topic, payload: 'x' }),
        expect('a', { cmd: 'publish', topic, payload: 'x' }),
      ]),
    ],
  },
  {
    clause: ['MQTT-4.7.2-1'],
    title: '# gets nothing of a topic that begins with $, live or retained',
    broker: 'own',
    steps: [
      connect('a'),
      subscribe('a', '#'),
      connect('b'),
      subscribe('b', '+/~/t', '+/#'),
      publish({ topic: '$~/t', payload: 'x', retain: true }),
      publish({ topic: '$a/~/t', payload: 'x', qos: 1, retain: true }),
      publish({ topic: '$SYS/~/t', payload: 'x', retain: true }),
      publish({ topic: '$', payload: 'x', retain: true }),
      nothing('a'),
      nothing('b'),
      connect('late'),
      subscribe('late', '#', '+/#', '+/+', '+', '+/~/t'),
      nothing('late'),
      publish({ topic: '~/$t', payload: 'x' }),
      expect('a', { cmd: 'publish', topic: '~/$t' }),
      expect('b', { cmd: 'publish', topic: '~/$t' }),
      expect('late', { cmd: 'publish', topic: '~/$t' }),
    ],
  },
  {
    clause: ['MQTT-4.7.2-1', 'MQTT-3.3.5-1'],
    title: 'a filter that begins with + grants nothing to a topic that begins with $, beside one that matches it',
    steps: [
      connect('a'),
      subscribe('a', ['$d/~/t', 0], ['+/~/t', 2]),
      publish({ topic: '$d/~/t', payload: 'x', qos: 2 }),
      expect('a', { cmd: 'publish', payload: 'x', qos: 0 }),
    ],
  },
  {
    clause: ['MQTT-4.7.2-1'],
    title: 'a filter that names the $ level matches below it',
    steps: matches('$~/+/#', ['$~/a', '$~/a/b'], ['~/a', 'x/$~/a']),
  },
  {
    clause: ['MQTT-4.7.3-3'],
    title: 'a topic of 65,535 bytes is published and delivered',
    steps: [
      connect('a'),
      subscribe('a', '~/#'),
      send('a', raw(0x30, 'ff ff', text('~/'), { pad: 65_535 - 7, of: 'x' }, text('y'))),
      expect('a', raw(0x30, 'ff ff', text('~/'), { pad: 65_535 - 7, of: 'x' }, text('y'))),
    ],
  },
  {
    clause: ['MQTT-4.7.3-3'],
    title: 'a filter of 65,535 bytes is taken, and matches the topic of that length',
    steps: [
      connect('a'),
      send('a', raw(0x82, 0, 1, 'ff ff', text('~/'), { pad: 65_535 - 7, of: 'x' }, 0)),
      expect('a', '90 03 00 01 00'),
      send('a', raw(0x30, 'ff ff', text('~/'), { pad: 65_535 - 7, of: 'x' }, text('y'))),
      expect('a', raw(0x30, 'ff ff', text('~/'), { pad: 65_535 - 7, of: 'x' }, text('y'))),
      send('a', raw(0xa2, 0, 2, 'ff ff', text('~/'), { pad: 65_535 - 7, of: 'x' })),
      expect('a', 'b0 02 00 02'),
    ],
  },
  {
    clause: ['MQTT-4.7.3-4'],
    title: 'names are compared as they are: case, spaces, slashes, composed and decomposed letters',
    steps: matches(
      '~/Stra\u00dfe/caf\u00e9',
      ['~/Stra\u00dfe/caf\u00e9'],
      [
        '~/stra\u00dfe/caf\u00e9',
        '~/Strasse/caf\u00e9',
        '~/Stra\u00dfe/cafe\u0301',
        '~/Stra\u00dfe/caf\u00e9 ',
        '~/ Stra\u00dfe/caf\u00e9',
        '/~/Stra\u00dfe/caf\u00e9',
        '~/Stra\u00dfe/caf\u00e9/',
        '~//Stra\u00dfe/caf\u00e9',
        '~/Stra\u00dfe/./caf\u00e9',
        '~/x/../Stra\u00dfe/caf\u00e9',
        '~/Stra%C3%9Fe/caf\u00e9',
      ],
    ),
  },
  {
    clause: ['MQTT-4.7.3-4', 'MQTT-4.7.1-3'],
    title: 'a slash at the start or the end makes another topic, with a level more',
    steps: [matches('/~/+', ['/~/a', '/~/'], ['~/a', '//~/a', '/~', '/~/a/'])],
  },
]
