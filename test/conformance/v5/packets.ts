/** MQTT 5, §2: fixed header flags, packet identifiers, what is too short or too long; and §4.13, handling errors. */
import {
  closed,
  connect,
  expect,
  id,
  nothing,
  oneOf,
  open,
  props,
  publish,
  type Row,
  raw,
  send,
  settle,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import { connectBytes, isTaken, MALFORMED, PROTOCOL_ERROR, refused, refuses, refusesConnect } from './bytes.ts'

const INVALID = [MALFORMED, PROTOCOL_ERROR]

export const PACKETS: readonly Row[] = [
  {
    clause: [
      'MQTT-2.1.3-1',
      'MQTT-2.2.1-5',
      'MQTT-2.2.1-6',
      'MQTT-2.2.2-1',
      'MQTT-3.8.4-2',
      'MQTT-3.10.4-5',
      'MQTT-4.3.3-4',
    ],
    title: 'the flags of all packets of the server are those of the table, the identifiers those asked with',
    steps: [
      open('a'),
      send('a', { cmd: 'connect' }),
      expect('a', { cmd: 'connack', reasonCode: 0, sessionPresent: false }),
      send('a', raw(0x82, 0x12, 0x34, props(), utf8('~/t'), 2)),
      expect('a', raw(0x90, 0x12, 0x34, props(), 2)),
      send('a', raw(0x32, utf8('~/other'), 0xab, 0xcd, props(), text('x'))),
      expect('a', { cmd: 'puback', messageId: 0xabcd, reasonCode: isTaken }),
      send('a', raw(0x34, utf8('~/other'), 0xff, 0xff, props(), text('x'))),
      expect('a', { cmd: 'pubrec', messageId: 0xffff, reasonCode: isTaken }),
      send('a', '62 02 ff ff'),
      expect('a', { cmd: 'pubcomp', messageId: 0xffff, reasonCode: 0 }),
      publish({ topic: '~/t', payload: 'x', qos: 2 }),
      expect('a', { cmd: 'publish', qos: 2, messageId: id('m') }),
      send('a', { cmd: 'pubrec', messageId: id('m'), reasonCode: 0 }),
      expect('a', { cmd: 'pubrel', messageId: id('m'), reasonCode: 0 }),
      send('a', { cmd: 'pubcomp', messageId: id('m'), reasonCode: 0 }),
      send('a', raw(0xa2, 0x56, 0x78, props(), utf8('~/t'))),
      expect('a', raw(0xb0, 0x56, 0x78, props(), 0)),
      send('a', 'c0 00'),
      expect('a', 'd0 00'),
    ],
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-3.1.4-1', 'MQTT-4.13.1-1'],
    title: 'CONNECT with a reserved flag is malformed',
    steps: refusesConnect(
      MALFORMED,
      ...[1, 2, 4, 8, 15].map(flags => raw(0x10 | flags, utf8('MQTT'), 5, 2, 0, 0, props(), utf8('~a'))),
    ),
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-4.13.1-1'],
    title: 'PUBACK, PUBREC, PUBCOMP and PINGREQ with a reserved flag are malformed',
    mosquittoDiffers: 'it does not look at these flags',
    steps: refuses(
      MALFORMED,
      '41 02 00 01',
      '42 02 00 01',
      '58 02 00 01',
      '52 02 00 01',
      '71 02 00 01',
      '72 02 00 01',
      'c1 00',
      'c8 00',
    ),
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-3.6.1-1'],
    title: 'PUBREL with flags other than 0010 is malformed',
    steps: refuses(MALFORMED, '60 02 00 01', '63 02 00 01', '66 02 00 01', '6a 02 00 01', '6f 02 00 01'),
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-3.8.1-1'],
    title: 'SUBSCRIBE with flags other than 0010 is malformed',
    steps: refuses(
      MALFORMED,
      ...[0x80, 0x83, 0x86, 0x8a, 0x8f].map(first => raw(first, 0, 1, props(), utf8('~/t'), 0)),
    ),
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-3.10.1-1'],
    title: 'UNSUBSCRIBE with flags other than 0010 is malformed',
    steps: refuses(MALFORMED, ...[0xa0, 0xa3, 0xa6, 0xaa, 0xaf].map(first => raw(first, 0, 1, props(), utf8('~/t')))),
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-3.14.1-1'],
    title: 'DISCONNECT with a reserved flag is malformed, answered so, and does not take the will back',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      ['e1 00', 'e2 00', 'e8 00', 'e1 02 00 00'].flatMap((bytes, index) => [
        connect(`a${index}`, { will: { topic: '~/will', payload: bytes } }),
        send(`a${index}`, bytes),
        refused(`a${index}`, MALFORMED),
        expect('watch', { cmd: 'publish', payload: bytes }),
      ]),
    ],
  },
  {
    clause: ['MQTT-2.1.3-1', 'MQTT-3.15.1-1'],
    title: 'AUTH with a reserved flag is malformed',
    // It is a Protocol Error as well, as the CONNECT had no method.
    steps: refuses(
      INVALID,
      ...[0xf1, 0xf2, 0xf4, 0xf8].map(first => raw(first, 0x18, props(0x15, utf8('SCRAM-SHA-256')))),
    ),
  },
  {
    clause: ['MQTT-2.2.1-2', 'MQTT-4.3.1-1'],
    title: 'a QoS 0 PUBLISH has no packet identifier, in either direction',
    steps: [
      connect('a'),
      subscribe('a', ['~/t', 2]),
      send('a', raw(0x30, utf8('~/t'), props(), 0, 1, text('x'))),
      expect('a', raw(0x30, utf8('~/t'), props(), 0, 1, text('x'))),
    ],
  },
  {
    clause: ['MQTT-2.2.1-3'],
    title: 'packet identifier 0 is an error',
    steps: [
      connect('watch'),
      subscribe('watch', '~/t'),
      refuses(
        INVALID,
        raw(0x82, 0, 0, props(), utf8('~/t'), 0),
        raw(0xa2, 0, 0, props(), utf8('~/t')),
        raw(0x32, utf8('~/t'), 0, 0, props(), text('x')),
        raw(0x34, utf8('~/t'), 0, 0, props(), text('x')),
      ),
      nothing('watch'),
    ],
  },
  {
    clause: ['MQTT-2.2.1-4', 'MQTT-4.3.2-1', 'MQTT-4.3.2-2', 'MQTT-4.3.3-1', 'MQTT-4.3.3-2'],
    title: 'messages in flight to one client have identifiers of their own, none 0',
    steps: [
      connect('a'),
      subscribe('a', ['~/t', 2]),
      ...[1, 2, 1, 2].map((qos, index) => publish({ topic: '~/t', payload: `${index}`, qos: qos as 1 | 2 })),
      expect('a', { cmd: 'publish', payload: '0', qos: 1, dup: false, messageId: id('0') }),
      expect('a', { cmd: 'publish', payload: '1', qos: 2, dup: false, messageId: id('1', '0') }),
      expect('a', { cmd: 'publish', payload: '2', qos: 1, dup: false, messageId: id('2', '0', '1') }),
      expect('a', { cmd: 'publish', payload: '3', qos: 2, dup: false, messageId: id('3', '0', '1', '2') }),
      send('a', { cmd: 'pubrec', messageId: id('1'), reasonCode: 0 }),
      expect('a', { cmd: 'pubrel', messageId: id('1') }),
      // The second is half done: its identifier is not free yet.
      publish({ topic: '~/t', payload: '4', qos: 1 }),
      expect('a', { cmd: 'publish', payload: '4', qos: 1, dup: false, messageId: id('4', '0', '1', '2', '3') }),
    ],
  },
  {
    clause: ['MQTT-2.2.1-5', 'MQTT-2.2.1-6'],
    title: 'the two ends choose their identifiers without regard to each other',
    steps: [
      connect('a'),
      subscribe('a', ['~/t', 1]),
      publish({ topic: '~/t', payload: 'x', qos: 1 }),
      expect('a', { cmd: 'publish', messageId: id('m') }),
      // The same identifier, for the client's own message.
      send('a', { cmd: 'publish', topic: '~/other', payload: 'y', qos: 1, messageId: id('m') }),
      expect('a', { cmd: 'puback', messageId: id('m') }),
      send('a', { cmd: 'puback', messageId: id('m'), reasonCode: 0 }),
    ],
  },
  {
    clause: ['MQTT-2.2.2-1'],
    title: 'a packet without a Property Length is malformed',
    steps: [
      refuses(MALFORMED, raw(0x30, utf8('~/t')), raw(0x32, utf8('~/t'), 0, 1), '82 02 00 01', 'a2 02 00 01'),
      refusesConnect(MALFORMED, raw(0x10, utf8('MQTT'), 5, 2, 0, 0)),
    ],
  },
  {
    clause: ['MQTT-4.13.1-1'],
    title: 'packet types that are reserved, or only a server sends, are errors',
    mosquittoDiffers: 'it passes over SUBACK and UNSUBACK',
    steps: refuses(INVALID, '00 00', '20 03 00 00 00', '90 04 00 01 00 00', 'b0 04 00 01 00 00', 'd0 00'),
  },
  {
    clause: ['MQTT-4.13.1-1'],
    title: 'packets that are too short, or too long, for what they must hold are malformed',
    mosquittoDiffers: 'it does not look at the length of PINGREQ',
    steps: refuses(
      INVALID,
      '40 00',
      '40 01 00',
      '50 01 00',
      '62 00',
      '70 01 00',
      'c0 01 00',
      '30 00',
      '30 01 00',
      '30 03 00 05 61',
      raw(0x32, utf8('~/t'), 0),
      '82 01 00',
      '82 06 00 01 00 00 05 61',
      raw(0x82, 0, 1, props(), utf8('~/t')),
      'a2 01 00',
      'a2 06 00 01 00 00 05 61',
      // Behind the properties there is no payload.
      '40 05 00 01 00 00 00',
      '62 05 00 01 00 00 00',
      'e0 03 00 00 00',
    ),
  },
  {
    clause: ['MQTT-4.13.1-1', 'MQTT-3.14.4-1', 'MQTT-3.14.4-2'],
    title: 'a fault in one packet closes, and what was sent after it is not looked at',
    steps: [
      connect('watch'),
      subscribe('watch', '~/#'),
      connect('a'),
      send('a', [
        { cmd: 'publish', topic: '~/before', payload: 'x' },
        '30 01 00',
        { cmd: 'publish', topic: '~/after', payload: 'x', retain: true },
        { cmd: 'pingreq' },
      ]),
      refused('a', MALFORMED),
      expect('watch', { cmd: 'publish', topic: '~/before' }),
      open('b'),
      send('b', [connectBytes({ flags: 3 }, utf8('~b')), { cmd: 'publish', topic: '~/never', payload: 'x' }]),
      closed('b', { maybe: { cmd: 'connack', reasonCode: MALFORMED } }),
      nothing('watch'),
    ],
  },
  {
    clause: ['MQTT-4.13.2-1'],
    title: 'a DISCONNECT of a client with an error code ends its connection, and nobody else',
    steps: [
      connect('b'),
      ...[0x80, 0x81, 0x82, 0x83, 0x93, 0x94, 0x95, 0x97, 0x98, 0x99].flatMap(reasonCode => [
        connect('a'),
        send('a', { cmd: 'disconnect', reasonCode }),
        closed('a'),
      ]),
      settle(),
    ],
  },
  {
    clause: ['MQTT-3.4.2-1', 'MQTT-3.5.2-1', 'MQTT-3.6.2-1', 'MQTT-3.7.2-1', 'MQTT-3.14.2-1'],
    title: 'a reason code that is not in the table of its packet is an error',
    mosquittoDiffers: 'it does not look at the codes of acknowledgements',
    steps: refuses(
      INVALID,
      '40 03 00 01 01',
      '40 04 00 01 92 00',
      '50 03 00 01 92',
      '62 03 00 01 80',
      '62 04 00 01 10 00',
      '70 03 00 01 10',
      'e0 01 01',
      'e0 01 03',
      'e0 02 a3 00',
      'e0 01 84',
    ),
  },
  {
    clause: ['MQTT-3.4.2-1', 'MQTT-3.5.2-1', 'MQTT-3.6.2-1', 'MQTT-3.7.2-1', 'MQTT-2.2.2-1'],
    title: 'reason code and Property Length may be left out of acknowledgements, or be there',
    steps: [
      connect('a'),
      subscribe('a', ['~/t', 2]),
      ...['', '00', '00 00', '10 00', '80', '83 00', '87 00', '90 00', '91 00', '97 00', '99 00'].flatMap(
        (rest, index) => [
          publish({ topic: '~/t', payload: `${index}`, qos: 1 }),
          expect('a', { cmd: 'publish', payload: `${index}`, qos: 1, messageId: oneOf(1, 2, index + 1) }),
          send('a', ({ last }) => {
            const messageId = Number(last('a', 'publish').messageId)
            return raw(0x40, messageId >> 8, messageId & 0xff, rest)
          }),
          settle(),
        ],
      ),
      ...['', '00', '00 00', '10 00'].flatMap((rest, index) => [
        publish({ topic: '~/t', payload: `${index}`, qos: 2 }),
        expect('a', { cmd: 'publish', payload: `${index}`, qos: 2 }),
        send('a', ({ last }) => {
          const messageId = Number(last('a', 'publish').messageId)
          return raw(0x50, messageId >> 8, messageId & 0xff, rest)
        }),
        expect('a', { cmd: 'pubrel' }),
        send('a', ({ last }) => {
          const messageId = Number(last('a', 'pubrel').messageId)
          return raw(0x70, messageId >> 8, messageId & 0xff, rest === '10 00' ? '92 00' : rest)
        }),
        settle(),
      ]),
      ...['', '00', '00 00'].flatMap((rest, index) => [
        send('a', { cmd: 'publish', topic: '~/other', payload: 'x', qos: 2, messageId: index + 1 }),
        expect('a', { cmd: 'pubrec', messageId: index + 1, reasonCode: isTaken }),
        send('a', raw(0x62, 0, index + 1, rest)),
        expect('a', { cmd: 'pubcomp', messageId: index + 1, reasonCode: 0 }),
      ]),
      ...['', '00', '00 00'].flatMap((rest, index) => [
        connect(`e${index}`, { will: { topic: '~/t', payload: 'x' } }),
        send(`e${index}`, raw(0xe0, rest)),
        closed(`e${index}`),
      ]),
    ],
  },
]
