/** MQTT 3.1.1, §1.5.3 UTF-8 encoded strings, wherever a packet has one. */
import {
  connect,
  expect,
  nothing,
  publish,
  type Raw,
  type Row,
  raw,
  send,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import { CLEAN, connectBytes, PASSWORD, refusesIllFormed, refusesNul, USERNAME, WILL } from './bytes.ts'

interface Place {
  where: string
  /** The statement that asks for UTF-8 in this place. */
  clause: string
  packet: (string: string) => Raw
  isFirst?: boolean
}

const PLACES: readonly Place[] = [
  {
    where: 'the client identifier',
    clause: 'MQTT-3.1.3-4',
    packet: string => connectBytes({}, string),
    isFirst: true,
  },
  {
    where: 'the will topic',
    clause: 'MQTT-3.1.3-10',
    packet: string => connectBytes({ flags: CLEAN | WILL }, utf8('~a'), string, utf8('x')),
    isFirst: true,
  },
  {
    where: 'the user name',
    clause: 'MQTT-3.1.3-11',
    packet: string => connectBytes({ flags: CLEAN | USERNAME | PASSWORD }, utf8('~a'), string, utf8('x')),
    isFirst: true,
  },
  { where: 'a topic name', clause: 'MQTT-3.3.2-1', packet: string => raw(0x30, string, text('x')) },
  { where: 'a topic name of QoS 1', clause: 'MQTT-3.3.2-1', packet: string => raw(0x32, string, 0, 1, text('x')) },
  { where: 'a filter in SUBSCRIBE', clause: 'MQTT-3.8.3-1', packet: string => raw(0x82, 0, 1, string, 0) },
  {
    where: 'the second filter in SUBSCRIBE',
    clause: 'MQTT-3.8.3-1',
    packet: string => raw(0x82, 0, 1, utf8('~/t'), 0, string, 0),
  },
  { where: 'a filter in UNSUBSCRIBE', clause: 'MQTT-3.10.3-1', packet: string => raw(0xa2, 0, 1, string) },
  {
    where: 'the second filter in UNSUBSCRIBE',
    clause: 'MQTT-3.10.3-1',
    packet: string => raw(0xa2, 0, 1, utf8('~/t'), string),
  },
]

export const STRINGS: readonly Row[] = [
  ...PLACES.flatMap(({ where, clause, packet, isFirst }): Row[] => [
    {
      clause: ['MQTT-1.5.3-1', clause],
      title: `ill-formed UTF-8 in ${where} closes the connection`,
      steps: refusesIllFormed(packet, isFirst),
    },
    {
      clause: ['MQTT-1.5.3-2', ...(where.includes('topic') || where.includes('filter') ? ['MQTT-4.7.3-2'] : [])],
      title: `U+0000 in ${where} closes the connection`,
      steps: refusesNul(packet, isFirst),
    },
  ]),
  {
    clause: ['MQTT-1.5.3-1', 'MQTT-1.5.3-3', 'MQTT-4.7.3-4'],
    title: 'EF BB BF is a character of a topic like any other, first or not',
    steps: [
      connect('a'),
      subscribe('a', '\uFEFF~/\uFEFFt'),
      connect('b'),
      subscribe('b', '~/t', '~/\uFEFFt', '\uFEFF~/t'),
      publish({ topic: '\uFEFF~/\uFEFFt', payload: 'x' }),
      expect('a', raw(0x30, '00 0e ef bb bf', text('~/'), 'ef bb bf', text('tx'))),
      nothing('b'),
    ],
  },
  {
    clause: ['MQTT-1.5.3-3', 'MQTT-3.1.3-2'],
    title: 'EF BB BF at the start of a client identifier makes it another one',
    steps: [
      connect('a', { clientId: '~a', clean: false }, { sessionPresent: false }),
      connect('b', { clientId: '\uFEFF~a', clean: false }, { sessionPresent: false }),
      connect('c', { clientId: '\uFEFF~c', clean: false }, { sessionPresent: false }),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT-1.5.3-1', 'MQTT-3.3.2-1', 'MQTT-3.8.3-1', 'MQTT-3.1.3-4'],
    title: 'every length of UTF-8 sequence goes through as it came',
    steps: [
      connect('a', { clientId: '~\u00e9\u20ac\u{1f321}' }),
      subscribe('a', '~/\u00e9/\u20ac/\u{1f321}/\u{10fffd}'),
      send('a', raw(0x30, utf8('~/\u00e9/\u20ac/\u{1f321}/\u{10fffd}'), text('x'))),
      expect('a', raw(0x30, utf8('~/\u00e9/\u20ac/\u{1f321}/\u{10fffd}'), text('x'))),
    ],
  },
]
