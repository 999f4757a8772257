/** MQTT 5, §3.3.2.3.4: topic aliases, from clients and to clients. */
import {
  closed,
  connect,
  disconnect,
  expect,
  nothing,
  props,
  publish,
  type Row,
  raw,
  send,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import { between, PROTOCOL_ERROR, refused } from './bytes.ts'

const ALIAS_INVALID = 0x94
const named = (topic: string, topicAlias: number, payload: string) => ({
  cmd: 'publish',
  topic,
  payload,
  properties: { topicAlias },
})
const maximum = (packet: { properties?: unknown }): number =>
  Number((packet.properties as { topicAliasMaximum?: number } | undefined)?.topicAliasMaximum ?? 0)

/** A message for each alias that there is. */
const everyAlias = (count: number) =>
  Array.from({ length: count }, (_, index) => index + 1).map(alias =>
    raw(0x30, utf8(`~/${alias}`), props(0x23, alias >> 8, alias & 0xff)),
  )

export const ALIASES: readonly Row[] = [
  {
    clause: ['MQTT-3.3.2-12', 'MQTT-3.2.2-17', 'MQTT-3.1.2-27'],
    title: 'an alias stands for the topic it was given with, until it is given another',
    steps: [
      connect('a'),
      subscribe('a', ['~/#', 1]),
      connect('p', {}, { properties: { topicAliasMaximum: between(2, 65_535) } }),
      send('p', named('~/one', 1, '1')),
      send('p', named('~/two', 2, '2')),
      send('p', named('', 1, '3')),
      send('p', named('', 2, '4')),
      send('p', { ...named('', 1, '5'), qos: 1, messageId: 1 }),
      expect('p', { cmd: 'puback', messageId: 1, reasonCode: 0 }),
      send('p', named('~/three', 1, '6')),
      send('p', named('', 1, '7')),
      send('p', named('', 2, '8')),
      ...[
        ['~/one', '1'],
        ['~/two', '2'],
        ['~/one', '3'],
        ['~/two', '4'],
        ['~/one', '5'],
        ['~/three', '6'],
        ['~/three', '7'],
        ['~/two', '8'],
      ].map(([topic, payload]) => expect('a', { cmd: 'publish', topic, payload, aliased: false })),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT-3.3.2-12', 'MQTT-3.3.2-9', 'MQTT-3.2.2-17'],
    title: 'every alias up to the maximum is taken, and none above',
    steps: [
      connect('a'),
      subscribe('a', '~/last'),
      connect('p', {}, { properties: { topicAliasMaximum: between(1, 65_534) } }),
      send('p', ({ last }) => everyAlias(maximum(last('p', 'connack')))),
      send('p', ({ last }) => named('~/last', maximum(last('p', 'connack')), '1')),
      send('p', ({ last }) => named('', maximum(last('p', 'connack')), '2')),
      expect('a', { cmd: 'publish', payload: '1' }),
      expect('a', { cmd: 'publish', payload: '2' }),
      send('p', ({ last }) => named('~/last', maximum(last('p', 'connack')) + 1, 'over')),
      refused('p', ALIAS_INVALID),
    ],
  },
  {
    clause: ['MQTT-3.3.2-8', 'PE-3.3.4-2'],
    title: 'alias 0 is an error, with a topic name and without',
    mosquittoDiffers: 'it calls it malformed',
    steps: ['~/t', ''].flatMap((topic, index) => [
      connect(`a${index}`),
      send(`a${index}`, raw(0x30, utf8(topic), props('23 00 00'), text('x'))),
      refused(`a${index}`, ALIAS_INVALID),
    ]),
  },
  {
    clause: ['MQTT-3.3.2-9', 'PE-3.3.4-2', 'MQTT-3.2.2-17', 'MQTT-3.2.2-18'],
    title: 'an alias over the maximum is an error',
    steps: [
      connect('a'),
      send('a', ({ last }) => named('~/t', maximum(last('a', 'connack')) + 1, 'x')),
      refused('a', ALIAS_INVALID),
      connect('b'),
      send('b', ({ last }) => named('', maximum(last('b', 'connack')) + 1, 'x')),
      refused('b', ALIAS_INVALID, PROTOCOL_ERROR),
    ],
  },
  {
    clause: ['PE-3.3.4-3', 'PE-3.3.2.1-1'],
    title: 'an alias that stands for nothing, without a topic name, is a Protocol Error',
    steps: [
      connect('a'),
      send('a', named('', 1, 'x')),
      refused('a', PROTOCOL_ERROR),
      connect('b'),
      send('b', [named('~/t', 1, 'x'), named('', 2, 'y')]),
      refused('b', PROTOCOL_ERROR),
    ],
  },
  {
    clause: ['MQTT-3.3.2-7'],
    title: 'aliases end with the connection, although the session goes on',
    steps: [
      connect('a', { clean: false, properties: { sessionExpiryInterval: 60 } }),
      send('a', named('~/t', 1, 'x')),
      disconnect('a'),
      connect('a', { clean: false, properties: { sessionExpiryInterval: 60 } }, { sessionPresent: true }),
      send('a', named('', 1, 'y')),
      refused('a', PROTOCOL_ERROR),
    ],
  },
  {
    clause: ['MQTT-3.3.2-7', 'MQTT-3.1.2-27'],
    title: 'aliases of one client are nothing to another, and are not kept with a retained message',
    steps: [
      connect('a'),
      send('a', { ...named('~/t', 1, 'x'), retain: true, qos: 1, messageId: 1 }),
      expect('a', { cmd: 'puback', messageId: 1 }),
      connect('b'),
      subscribe('b', '~/t'),
      expect('b', {
        cmd: 'publish',
        topic: '~/t',
        payload: 'x',
        aliased: false,
        properties: (value: unknown) => value === undefined || value === null,
      }),
      send('b', named('', 1, 'y')),
      refused('b', PROTOCOL_ERROR),
    ],
  },
  {
    clause: ['MQTT-3.3.2-2', 'MQTT-4.7.0-1'],
    title: 'an alias does not make a topic name of what is none',
    steps: ['~/#', '~/+'].flatMap((topic, index) => [
      connect(`a${index}`),
      send(`a${index}`, named(topic, 1, 'x')),
      refused(`a${index}`, 0x81, PROTOCOL_ERROR, 0x90),
    ]),
  },
  {
    clause: ['MQTT-3.1.2-27', 'MQTT-3.3.2-11'],
    title: 'a client that takes no aliases gets none',
    steps: [
      connect('a'),
      subscribe('a', '~/t'),
      connect('b', { properties: { topicAliasMaximum: 0 } }),
      subscribe('b', '~/t'),
      // That there is no alias is what `strict.ts` looks at.
      ...['1', '2', '3'].map(payload => publish({ topic: '~/t', payload })),
      ...['1', '2', '3'].flatMap(payload => [
        expect('a', { cmd: 'publish', topic: '~/t', payload, aliased: false }),
        expect('b', { cmd: 'publish', topic: '~/t', payload, aliased: false }),
      ]),
    ],
  },
  {
    clause: ['MQTT-3.1.2-26', 'MQTT-3.3.2-11'],
    title: 'a client that takes two aliases gets no third, and every message under its own name',
    steps: [
      connect('a', { properties: { topicAliasMaximum: 2 } }),
      subscribe('a', ['~/#', 1]),
      ...['one', 'two', 'three', 'one', 'two', 'three', 'three', 'one'].flatMap((level, index) => [
        publish({ topic: `~/${level}`, payload: `${index}`, qos: (index % 2) as 0 | 1 }),
        expect('a', { cmd: 'publish', topic: `~/${level}`, payload: `${index}` }),
      ]),
    ],
  },
  {
    clause: ['MQTT-3.3.2-7', 'MQTT-3.1.2-26', 'MQTT-4.4.0-1'],
    title: 'what is sent again after a new connection does not lean on aliases of the old one',
    steps: [
      connect('a', { clean: false, properties: { topicAliasMaximum: 5, sessionExpiryInterval: 60 } }),
      subscribe('a', ['~/#', 1]),
      ...['1', '2', '3'].flatMap(payload => [
        publish({ topic: '~/t', payload, qos: 1 }),
        expect('a', { cmd: 'publish', topic: '~/t', payload }),
      ]),
      disconnect('a'),
      connect('a', { clean: false, properties: { topicAliasMaximum: 5 } }, { sessionPresent: true }),
      ...['1', '2', '3'].map(payload => expect('a', { cmd: 'publish', topic: '~/t', payload, dup: true })),
      disconnect('a'),
    ],
  },
  {
    clause: ['MQTT-3.1.2-25', 'MQTT-3.1.2-26'],
    title: 'an alias that was given in a message too large to send is not leaned on',
    steps: [
      connect('a', { properties: { topicAliasMaximum: 5, maximumPacketSize: 100 } }),
      subscribe('a', ['~/#', 1]),
      ...([0, 1] as const).flatMap(qos => [
        publish({ topic: `~/a/topic/${qos}`, payload: 'x'.repeat(200), qos }),
        publish({ topic: `~/a/topic/${qos}`, payload: 'small', qos }),
        expect('a', { cmd: 'publish', topic: `~/a/topic/${qos}`, payload: 'small', aliased: false }),
        publish({ topic: `~/a/topic/${qos}`, payload: 'again', qos }),
        expect('a', { cmd: 'publish', topic: `~/a/topic/${qos}`, payload: 'again' }),
      ]),
    ],
  },
  {
    clause: ['MQTT-3.1.2-26'],
    title: 'the gateway makes use of aliases that it may',
    mosquittoDiffers: 'it never sends an alias',
    steps: [
      connect('a', { properties: { topicAliasMaximum: 10 } }),
      subscribe('a', '~/#'),
      ...['1', '2', '3', '4', '5'].flatMap(payload => [
        publish({ topic: '~/a/topic/that/is/long/enough/for/an/alias', payload }),
        expect('a', { cmd: 'publish', topic: '~/a/topic/that/is/long/enough/for/an/alias', payload }),
      ]),
      publish({ topic: '~/a/topic/that/is/long/enough/for/an/alias', payload: '6' }),
      expect('a', { cmd: 'publish', topic: '~/a/topic/that/is/long/enough/for/an/alias', payload: '6', aliased: true }),
      send('a', { cmd: 'disconnect', reasonCode: 0 }),
      closed('a'),
    ],
  },
  { clause: ['MQTT-3.3.2-10'], notObservable: 'it binds the client alone' },
]
