/** MQTT 5, §3.1 CONNECT: its format, and what may come before, with and behind it. Properties, sessions and the will have files of their own. */
import {
  closed,
  connect,
  drop,
  expect,
  nothing,
  oneOf,
  open,
  props,
  type Row,
  raw,
  send,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import {
  CLEAN,
  connectBytes,
  isTaken,
  MALFORMED,
  PASSWORD,
  PROTOCOL_ERROR,
  refused,
  refusesConnect,
  USERNAME,
  WILL,
  WILL_RETAIN,
} from './bytes.ts'

const INVALID = [MALFORMED, PROTOCOL_ERROR]
const UNKNOWN_METHOD = { authenticationMethod: 'NOBODY-HAS-THIS' }

export const CONNECT: readonly Row[] = [
  {
    clause: ['MQTT-3.1.0-1', 'MQTT-3.14.0-1', 'MQTT-3.2.0-1'],
    title: 'anything but CONNECT as the first packet closes the connection, unanswered and without effect',
    steps: [
      connect('watch'),
      subscribe('watch', '~/#'),
      [
        raw(0x30, utf8('~/t'), props(), text('x')),
        raw(0x33, utf8('~/t'), 0, 1, props(), text('x')),
        raw(0x82, 0, 1, props(), utf8('~/t'), 0),
        raw(0xa2, 0, 1, props(), utf8('~/t')),
        '40 02 00 01',
        '50 02 00 01',
        '62 02 00 01',
        '70 02 00 01',
        'c0 00',
        'e0 00',
        raw(0xf0, 0x18, props(0x15, utf8('SCRAM-SHA-256'))),
      ].flatMap((packet, index) => [open(`a${index}`), send(`a${index}`, packet), closed(`a${index}`)]),
      nothing('watch'),
    ],
  },
  {
    clause: ['MQTT-3.1.0-2', 'MQTT-3.2.0-2', 'MQTT-4.13.1-1'],
    title: 'a second CONNECT is a Protocol Error, and the will is published',
    mosquittoDiffers: 'it forgets the will of the first',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      connect('a', { will: { topic: '~/will', payload: 'x' } }),
      send('a', { cmd: 'connect' }),
      refused('a', PROTOCOL_ERROR),
      expect('watch', { cmd: 'publish', payload: 'x' }),
    ],
  },
  {
    clause: ['MQTT-3.1.0-2', 'MQTT-3.2.0-2'],
    title: 'a second CONNECT in the same write as the first, of another client, is one all the same',
    steps: [
      open('a'),
      send('a', [{ cmd: 'connect' }, { cmd: 'connect', clientId: '~other' }]),
      expect('a', { cmd: 'connack', reasonCode: 0 }),
      refused('a', PROTOCOL_ERROR),
    ],
  },
  {
    clause: ['MQTT-3.1.2-1'],
    title: 'a wrong protocol name is not served',
    steps: ['MQTX', 'mqtt', 'MQT', 'MQTTT', '', 'MQIsdp', 'HTTP'].flatMap((name, index) => [
      open(`a${index}`),
      send(`a${index}`, connectBytes({ name }, utf8('~a'))),
      // Of which version the answer is, nobody can tell.
      closed(`a${index}`, { maybe: { cmd: 'connack', reasonCode: oneOf(0x84, MALFORMED, 1) } }),
    ]),
  },
  {
    clause: ['MQTT-3.1.2-2'],
    title: 'a protocol version that nobody knows is not served',
    steps: [0, 1, 2, 6, 7, 0x7f, 0x85].flatMap((level, index) => [
      open(`a${index}`),
      send(`a${index}`, connectBytes({ level }, utf8('~a'))),
      // Either the code of MQTT 5 or, as the client does not speak that, the return code of MQTT 3.1.1.
      closed(`a${index}`, { maybe: { cmd: 'connack', sessionPresent: false, reasonCode: oneOf(0x84, 1) } }),
    ]),
  },
  {
    clause: ['MQTT-3.1.2-3', 'MQTT-3.1.4-1'],
    title: 'the reserved connect flag makes CONNECT malformed',
    steps: refusesConnect(
      MALFORMED,
      connectBytes({ flags: CLEAN | 1 }, utf8('~a')),
      connectBytes({ flags: 1 }, utf8('~b')),
    ),
  },
  {
    clause: ['MQTT-3.1.2-11', 'MQTT-3.1.4-1'],
    title: 'a will QoS without a will is an error',
    steps: refusesConnect(INVALID, ...[0x08, 0x10, 0x18].map(qos => connectBytes({ flags: CLEAN | qos }, utf8('~a')))),
  },
  {
    clause: ['MQTT-3.1.2-13', 'MQTT-3.1.4-1'],
    title: 'will retain without a will is an error',
    steps: refusesConnect(INVALID, connectBytes({ flags: CLEAN | WILL_RETAIN }, utf8('~a'))),
  },
  {
    clause: ['MQTT-3.1.2-12', 'MQTT-3.1.4-1'],
    title: 'will QoS 3 is malformed',
    steps: refusesConnect(
      MALFORMED,
      connectBytes({ flags: CLEAN | WILL | 0x18 }, utf8('~a'), props(), utf8('~/will'), utf8('x')),
    ),
  },
  {
    clause: ['MQTT-3.1.2-9', 'MQTT-3.1.4-1'],
    title: 'a will flag without will properties, will topic and will payload is malformed',
    steps: refusesConnect(
      MALFORMED,
      connectBytes({ flags: CLEAN | WILL }, utf8('~a')),
      connectBytes({ flags: CLEAN | WILL }, utf8('~a'), props()),
      connectBytes({ flags: CLEAN | WILL }, utf8('~a'), props(), utf8('~/will')),
      connectBytes({ flags: CLEAN | WILL }, utf8('~a'), props(), utf8('~/will'), '00 05 61'),
    ),
  },
  {
    clause: ['MQTT-3.1.2-9', 'MQTT-3.1.4-1', 'MQTT-3.3.2-2', 'MQTT-4.7.3-1'],
    title: 'a will topic that is no topic name is refused',
    steps: refusesConnect(
      [...INVALID, 0x90],
      ...['', '~/#', '~/+/t', '#'].map(topic =>
        connectBytes({ flags: CLEAN | WILL }, utf8('~a'), props(), utf8(topic), utf8('x')),
      ),
    ),
  },
  {
    clause: ['MQTT-3.1.2-16', 'MQTT-3.1.2-18', 'MQTT-3.1.4-1'],
    title: 'fields in the payload that no flag announces make CONNECT malformed',
    steps: refusesConnect(
      INVALID,
      connectBytes({}, utf8('~a'), props(), utf8('~/will'), utf8('x')),
      connectBytes({}, utf8('~a'), utf8('user')),
      connectBytes({ flags: CLEAN | USERNAME }, utf8('~a'), utf8('user'), utf8('password')),
      connectBytes({}, utf8('~a'), 0),
    ),
  },
  {
    clause: ['MQTT-3.1.2-17', 'MQTT-3.1.4-1'],
    title: 'a user name flag without a user name is malformed',
    steps: refusesConnect(
      MALFORMED,
      connectBytes({ flags: CLEAN | USERNAME }, utf8('~a')),
      connectBytes({ flags: CLEAN | USERNAME }, utf8('~a'), '00 04 75 73'),
    ),
  },
  {
    clause: ['MQTT-3.1.2-19', 'MQTT-3.1.4-1'],
    title: 'a password flag without a password is malformed',
    steps: refusesConnect(
      MALFORMED,
      connectBytes({ flags: CLEAN | USERNAME | PASSWORD }, utf8('~a'), utf8('user')),
      connectBytes({ flags: CLEAN | USERNAME | PASSWORD }, utf8('~a'), utf8('user'), '00'),
      connectBytes({ flags: CLEAN | PASSWORD }, utf8('~a')),
    ),
  },
  {
    clause: ['MQTT-3.1.2-19'],
    title: 'a password needs no user name',
    steps: [
      open('a'),
      send('a', connectBytes({ flags: CLEAN | PASSWORD }, utf8('~a'), utf8('password'))),
      expect('a', { cmd: 'connack', reasonCode: 0 }),
      subscribe('a', '~/t'),
    ],
  },
  {
    clause: ['MQTT-3.1.2-7', 'MQTT-3.1.2-17', 'MQTT-3.1.2-19', 'MQTT-3.1.3-1', 'MQTT-3.1.3-3', 'MQTT-3.1.4-5'],
    title: 'all fields, in their order, are read as what they are; a password may be any bytes',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      open('a'),
      send(
        'a',
        connectBytes(
          {
            flags: CLEAN | WILL | USERNAME | PASSWORD,
            keepalive: 60,
            properties: [
              '11 00 00 00 00',
              '21 00 14',
              '27 00 10 00 00',
              '22 00 05',
              '19 01',
              '17 01',
              0x26,
              utf8('n'),
              utf8('v'),
            ],
          },
          utf8('~a'),
          props(
            '18 00 00 00 00',
            '01 00',
            '02 00 00 00 3c',
            3,
            utf8('c'),
            8,
            utf8('~/r'),
            '09 00 01 ff',
            0x26,
            utf8('n'),
            utf8('v'),
          ),
          utf8('~/will'),
          '00 03 00 ff c0',
          utf8('user'),
          '00 04 00 ff ed a0',
        ),
      ),
      expect('a', { cmd: 'connack', reasonCode: 0, sessionPresent: false }),
      drop('a'),
      expect('watch', {
        cmd: 'publish',
        topic: '~/will',
        payload: Buffer.from([0, 0xff, 0xc0]),
        properties: { contentType: 'c', responseTopic: '~/r', correlationData: Buffer.from([0xff]) },
        pairs: [['n', 'v']],
      }),
    ],
  },
  {
    clause: ['MQTT-3.1.3-3', 'MQTT-3.1.4-1'],
    title: 'a CONNECT without the client identifier field is malformed',
    steps: refusesConnect(MALFORMED, connectBytes({}), connectBytes({}, 0), connectBytes({}, '00 05 61')),
  },
  {
    clause: ['MQTT-3.1.4-1'],
    title: 'a CONNECT cut off in its header closes the connection',
    steps: refusesConnect(
      MALFORMED,
      '10 00',
      '10 02 00 04',
      raw(0x10, utf8('MQTT')),
      raw(0x10, utf8('MQTT'), 5),
      raw(0x10, utf8('MQTT'), 5, 2),
      raw(0x10, utf8('MQTT'), 5, 2, 0),
    ),
  },
  {
    clause: ['MQTT-3.1.4-5', 'MQTT-3.2.0-1', 'MQTT-3.2.0-2'],
    title: 'what a client sends right behind its CONNECT is dealt with after the CONNACK',
    steps: [
      open('a'),
      send('a', [
        { cmd: 'connect' },
        { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '~/t', qos: 1 }] },
        { cmd: 'publish', topic: '~/t', payload: 'x', qos: 1, messageId: 2 },
        { cmd: 'pingreq' },
      ]),
      expect('a', { cmd: 'connack', reasonCode: 0 }),
      expect('a', { cmd: 'suback', messageId: 1, granted: [1] }),
      expect('a', { cmd: 'publish', payload: 'x', qos: 1 }),
      expect('a', { cmd: 'puback', messageId: 2, reasonCode: isTaken }),
      expect('a', 'd0 00'),
    ],
  },
  {
    clause: ['MQTT-3.1.4-1', 'MQTT-3.1.4-5'],
    title: 'a CONNECT that comes byte by byte is one like any other',
    steps: [
      open('a'),
      send(
        'a',
        { cmd: 'connect', properties: { receiveMaximum: 10, userProperties: { n: 'v' } }, will: { topic: '~/w' } },
        { cuts: 'each' },
      ),
      expect('a', { cmd: 'connack', reasonCode: 0 }),
    ],
  },
  {
    clause: ['MQTT-3.1.4-6', 'MQTT-3.1.0-1'],
    title: 'what follows a refused CONNECT has no effect',
    steps: [
      connect('watch'),
      subscribe('watch', '~/#'),
      open('a'),
      send('a', [
        { cmd: 'connect', properties: UNKNOWN_METHOD },
        { cmd: 'publish', topic: '~/t', payload: 'x', retain: true },
        { cmd: 'publish', topic: '~/t', payload: 'x', qos: 1, messageId: 1 },
        { cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: '~/t', qos: 0 }] },
        { cmd: 'pingreq' },
      ]),
      closed('a', { maybe: { cmd: 'connack', reasonCode: oneOf(0x8c, 0x87) } }),
      nothing('watch'),
      connect('b'),
      subscribe('b', '~/#'),
    ],
  },
]
