/** MQTT 5, §4.7: topic names and topic filters. */
import { connect, expect, nothing, props, publish, type Row, raw, send, subscribe, text, utf8 } from '../rig/format.ts'
import { MALFORMED, PROTOCOL_ERROR, refuses } from './bytes.ts'

/** Filters, topics that they match, topics that they do not. */
const MATCHES: readonly (readonly [filter: string, matching: readonly string[], other: readonly string[]])[] = [
  ['~/#', ['~', '~/', '~/a', '~/a/b', '~//', '~/$a'], ['~a', '/~', '/~/a']],
  ['~/a/#', ['~/a', '~/a/', '~/a/b/c'], ['~/ab', '~/b/a']],
  ['~/+', ['~/a', '~/', '~/$SYS'], ['~', '~/a/', '~/a/b', '/~/a']],
  ['~/+/b', ['~/a/b', '~//b'], ['~/b', '~/a/c/b', '~/a/b/']],
  ['~/+/+', ['~/a/b', '~//', '~/a/'], ['~/a', '~/a/b/c']],
  ['+/~/+', ['a/~/b', '/~/b', '/~/'], ['~/b', 'a/~', '$a/~/b']],
  ['+/~', ['a/~', '/~'], ['~', '//~', '$SYS/~', '$/~']],
  ['~/+/#', ['~/a', '~/', '~/a/b/c'], ['~']],
  ['/~', ['/~'], ['~', '~/', '//~']],
  ['~/', ['~/'], ['~', '~//']],
  ['$a/~/#', ['$a/~', '$a/~/b'], ['a/~', '$b/~']],
]

export const TOPICS: readonly Row[] = [
  ...MATCHES.map(
    ([filter, matching, other]): Row => ({
      clause: ['MQTT-4.7.1-1', 'MQTT-4.7.1-2', 'MQTT-3.3.2-3', ...(filter.startsWith('+') ? ['MQTT-4.7.2-1'] : [])],
      title: `${filter} matches ${matching.join(' ')} and not ${other.join(' ')}`,
      steps: [
        connect('a'),
        subscribe('a', filter),
        connect('p'),
        ...other.map(topic => send('p', { cmd: 'publish', topic, payload: 'other' })),
        ...matching.map(topic => send('p', { cmd: 'publish', topic, payload: 'x' })),
        ...matching.map(topic => expect('a', { cmd: 'publish', topic, payload: 'x' })),
        nothing('a'),
      ],
    }),
  ),
  {
    clause: ['MQTT-4.7.2-1'],
    title: 'a filter that begins with a wildcard matches no topic that begins with $, retained or not',
    broker: 'own',
    steps: [
      publish({ topic: '$a/~', payload: 'retained', retain: true }),
      publish({ topic: 'a/~', payload: 'retained', retain: true }),
      connect('all'),
      subscribe('all', '#'),
      expect('all', { cmd: 'publish', topic: 'a/~', payload: 'retained' }),
      connect('plus'),
      subscribe('plus', '+/~', '+/#'),
      expect('plus', { cmd: 'publish', topic: 'a/~' }),
      expect('plus', { cmd: 'publish', topic: 'a/~' }),
      connect('dollar'),
      subscribe('dollar', '$a/#'),
      expect('dollar', { cmd: 'publish', topic: '$a/~', payload: 'retained' }),
      publish({ topic: '$a/~', payload: 'live' }),
      publish({ topic: '$SYS/~', payload: 'live' }),
      expect('dollar', { cmd: 'publish', topic: '$a/~', payload: 'live' }),
      nothing('all'),
      nothing('plus'),
    ],
  },
  {
    clause: ['MQTT-4.7.0-1', 'MQTT-4.7.3-1'],
    title: 'wildcards are for filters, and neither names nor filters are empty',
    steps: refuses(
      [MALFORMED, PROTOCOL_ERROR, 0x8f, 0x90],
      raw(0x30, utf8('~/#'), props(), text('x')),
      raw(0x30, utf8('+/~'), props(), text('x')),
      raw(0x30, utf8(''), props(), text('x')),
      raw(0x82, 0, 1, props(), utf8(''), 0),
    ),
  },
  {
    clause: ['MQTT-4.7.3-4'],
    title: 'names are compared as they are: no case folding, no normalising, no trimming',
    steps: [
      connect('a'),
      subscribe('a', '~/caf\u00e9', '~/A', '~/b '),
      ...['~/cafe\u0301', '~/a', '~/b', '~/ b', '~/CAF\u00c9'].map(topic => publish({ topic, payload: 'other' })),
      ...['~/caf\u00e9', '~/A', '~/b '].flatMap(topic => [
        publish({ topic, payload: 'x' }),
        expect('a', { cmd: 'publish', topic, payload: 'x' }),
      ]),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT-4.7.3-3', 'MQTT-4.7.3-1'],
    title: 'a name and a filter may have one byte',
    steps: [
      connect('a'),
      subscribe('a', '~'),
      publish({ topic: '~', payload: 'x' }),
      expect('a', { cmd: 'publish', topic: '~', payload: 'x' }),
      connect('b'),
      subscribe('b', { topic: '/', qos: 0, rh: 2 }, { topic: 'x', qos: 0, rh: 2 }),
    ],
  },
  {
    clause: ['MQTT-4.7.3-3'],
    title: 'a name and a filter may have 65,535 bytes',
    steps: [
      connect('a'),
      send('a', raw(0x82, 0, 1, props(), 'ff ff', text('~/'), { pad: 65_528, of: 't' }, 0)),
      expect('a', { cmd: 'suback', granted: [0] }),
      send('a', raw(0x30, 'ff ff', text('~/'), { pad: 65_528, of: 't' }, props(), text('x'))),
      expect('a', raw(0x30, 'ff ff', text('~/'), { pad: 65_528, of: 't' }, props(), text('x'))),
    ],
  },
]
