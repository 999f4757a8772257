/** MQTT 3.1: what differs from 3.1.1, and the whole life of an old client once. The packets are those of version 3. */
import {
  closed,
  connect,
  disconnect,
  drop,
  elapse,
  expect,
  id,
  nothing,
  open,
  publish,
  type Row,
  raw,
  type Steps,
  send,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import { CLEAN, closes, closesAtOnce, connectBytes as connect311, PASSWORD, USERNAME, WILL } from '../v311/bytes.ts'

const connectBytes: typeof connect311 = (header, ...payload) =>
  connect311({ name: 'MQIsdp', level: 3, ...header }, ...payload)
const ACCEPTED = '20 02 00 00'
/** A connection of this name, with a CONNECT of these bytes, is accepted. */
const accepted = (on: string, ...[header, ...payload]: Parameters<typeof connectBytes>): readonly Steps[] => [
  open(on),
  send(on, connectBytes(header, ...payload)),
  expect(on, ACCEPTED),
]

export const CONNECT: readonly Row[] = [
  {
    clause: ['MQTT31-3.1-1', 'MQTT31-3.2-1', 'MQTT31-3.12-1'],
    title: 'MQIsdp with version 3 is served',
    steps: [accepted('a', {}, utf8('~a')), send('a', 'c0 00'), expect('a', 'd0 00')],
  },
  {
    clause: ['MQTT31-3.1-2'],
    title: 'MQIsdp with another version: return code 1',
    steps: [0, 1, 2, 4, 5, 6].flatMap(level => [
      open(`a${level}`),
      send(`a${level}`, connectBytes({ level }, utf8('~a'))),
      expect(`a${level}`, '20 02 00 01'),
      closed(`a${level}`),
    ]),
  },
  {
    clause: ['MQTT31-3.1-3'],
    title: 'a user name that was announced and is not there is none',
    steps: accepted('a', { flags: CLEAN | USERNAME }, utf8('~a')),
  },
  {
    clause: ['MQTT31-3.1-3'],
    title: 'a password that was announced and is not there is none',
    steps: accepted('a', { flags: CLEAN | USERNAME | PASSWORD }, utf8('~a'), utf8('user')),
  },
  {
    clause: ['MQTT31-3.1-3'],
    title: 'both announced, neither there',
    steps: accepted('a', { flags: CLEAN | USERNAME | PASSWORD }, utf8('~a')),
  },
  {
    clause: ['MQTT31-3.1-3'],
    title: 'all five fields are read when they are there',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      accepted(
        'a',
        { flags: CLEAN | WILL | USERNAME | PASSWORD },
        utf8('~a'),
        utf8('~/will'),
        utf8('gone'),
        utf8('user'),
        utf8('password'),
      ),
      drop('a'),
      expect('watch', raw(0x30, utf8('~/will'), text('gone'))),
    ],
  },
  {
    clause: ['MQTT31-3.1-4'],
    title: 'an empty identifier without a clean session: return code 2',
    steps: [open('a'), send('a', connectBytes({ flags: 0 }, utf8(''))), expect('a', '20 02 00 02'), closed('a')],
  },
  {
    clause: ['MQTT31-3.1-5', 'MQTT31-3.1-7'],
    title: 'an identifier of more than 23 characters is taken, and names a session',
    steps: [
      connect('a', { clientId: '~-the-thermometer-in-the-kitchen', clean: false }, ACCEPTED),
      subscribe('a', ['~/t', 1]),
      disconnect('a'),
      connect('b', { clientId: '~-the-thermometer-in-the-kitchem', clean: false }, ACCEPTED),
      publish({ topic: '~/t', payload: 'x', qos: 1 }),
      connect('a', { clientId: '~-the-thermometer-in-the-kitchen', clean: false, acks: true }, ACCEPTED),
      expect('a', { cmd: 'publish', payload: 'x', qos: 1 }),
    ],
  },
  {
    clause: ['MQTT31-3.1-6'],
    title: 'the same identifier again closes the older connection',
    steps: [
      connect('a', { clientId: '~same' }),
      connect('b', { clientId: '~same' }),
      closed('a'),
      subscribe('b', '~/t'),
    ],
  },
  {
    clause: ['MQTT31-3.1-7', 'MQTT31-3.2-1'],
    title: 'a session that is resumed does not say so in CONNACK',
    steps: [
      connect('a', { clean: false }, ACCEPTED),
      subscribe('a', ['~/t', 2]),
      disconnect('a'),
      publish({ topic: '~/t', payload: '1', qos: 1 }),
      publish({ topic: '~/t', payload: '2', qos: 2 }),
      connect('a', { clean: false, acks: true }, ACCEPTED),
      expect('a', { cmd: 'publish', payload: '1', qos: 1, dup: false }),
      expect('a', { cmd: 'publish', payload: '2', qos: 2, dup: false }),
      disconnect('a'),
      connect('a', { clean: true }, ACCEPTED),
      publish({ topic: '~/t', payload: '3', qos: 1 }),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT31-3.1-8'],
    title: 'the will, at its QoS and retained; not after DISCONNECT',
    steps: [
      connect('watch'),
      subscribe('watch', ['~/will', 1]),
      connect('a', { will: { topic: '~/will', payload: 'gone', qos: 1, retain: true } }),
      disconnect('a'),
      nothing('watch'),
      connect('a', { will: { topic: '~/will', payload: 'gone', qos: 1, retain: true } }),
      drop('a'),
      expect('watch', { cmd: 'publish', payload: 'gone', qos: 1, retain: false }),
      connect('late'),
      subscribe('late', ['~/will', 1]),
      expect('late', { cmd: 'publish', payload: 'gone', qos: 1, retain: true }),
    ],
  },
  {
    clause: ['MQTT31-3.1-9'],
    title: 'anything but CONNECT first, and CONNECT twice, ends the connection',
    steps: [
      closesAtOnce(raw(0x30, utf8('~/t'), text('x')), raw(0x82, 0, 1, utf8('~/t'), 0), 'c0 00', 'e0 00'),
      closes(connectBytes({}, utf8('~again'))),
    ],
  },
  {
    clause: ['MQTT31-3.1-10'],
    title: 'silence for one and a half times the keep alive ends the connection',
    mosquittoDiffers: 'it looks every five seconds only',
    steps: [
      connect('a', { keepalive: 1 }),
      elapse(1),
      send('a', 'c0 00'),
      expect('a', 'd0 00'),
      closed('a', { after: 1.49, before: 2.5 }),
    ],
  },
]

export const PACKETS: readonly Row[] = [
  {
    clause: ['MQTT31-2.1-1', 'MQTT31-2.1-2', 'MQTT31-3.8-1', 'MQTT31-3.10-1'],
    title: 'SUBSCRIBE and UNSUBSCRIBE with DUP are taken',
    steps: [
      connect('a'),
      send('a', raw(0x8a, 0, 1, utf8('~/t'), 1, utf8('~/u'), 0)),
      expect('a', '90 04 00 01 01 00'),
      publish({ topic: '~/t', payload: 'x', qos: 2 }),
      expect('a', { cmd: 'publish', payload: 'x', qos: 1 }),
      send('a', raw(0xaa, 0, 2, utf8('~/t'))),
      expect('a', 'b0 02 00 02'),
      publish({ topic: '~/t', payload: 'x', qos: 2 }),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT31-2.1-1', 'MQTT31-3.3-1'],
    title: 'PUBREL with DUP is answered',
    steps: [
      connect('watch'),
      subscribe('watch', '~/t'),
      connect('a'),
      send('a', { cmd: 'publish', topic: '~/t', payload: 'x', qos: 2, messageId: 7 }),
      expect('a', '50 02 00 07'),
      send('a', '6a 02 00 07'),
      expect('a', '70 02 00 07'),
      expect('watch', { cmd: 'publish', payload: 'x' }),
    ],
  },
  {
    clause: ['MQTT31-2.1-3', 'MQTT31-mixed-1'],
    title: 'retained messages',
    steps: [
      connect('a'),
      subscribe('a', '~/t'),
      publish({ topic: '~/t', payload: 'x', retain: true }),
      expect('a', { cmd: 'publish', payload: 'x', retain: false }),
      subscribe('a', '~/+'),
      expect('a', { cmd: 'publish', payload: 'x', retain: true }),
      publish({ topic: '~/t', payload: '', retain: true }),
      expect('a', { cmd: 'publish', payload: '', retain: false }),
      connect('late'),
      subscribe('late', '~/#'),
    ],
  },
  {
    clause: ['MQTT31-3.3-1'],
    title: 'QoS 1 and 2 to an old client over a broken connection',
    steps: [
      connect('a', { clean: false }),
      subscribe('a', ['~/t', 2]),
      publish({ topic: '~/t', payload: '1', qos: 1 }),
      publish({ topic: '~/t', payload: '2', qos: 2 }),
      expect('a', { cmd: 'publish', payload: '1', dup: false, messageId: id('1') }),
      expect('a', { cmd: 'publish', payload: '2', dup: false, messageId: id('2', '1') }),
      drop('a'),
      connect('a', { clean: false }),
      expect('a', { cmd: 'publish', payload: '1', dup: true, messageId: id('1') }),
      expect('a', { cmd: 'publish', payload: '2', dup: true, messageId: id('2') }),
      send('a', { cmd: 'puback', messageId: id('1') }),
      send('a', { cmd: 'pubrec', messageId: id('2') }),
      expect('a', { cmd: 'pubrel', messageId: id('2') }),
      drop('a'),
      connect('a', { clean: false }),
      expect('a', { cmd: 'pubrel', messageId: id('2') }),
      send('a', { cmd: 'pubcomp', messageId: id('2') }),
    ],
  },
  {
    clause: ['MQTT31-3.3-1'],
    title: 'QoS 1 and 2 from an old client; a repeat before PUBREL is not delivered',
    steps: [
      connect('watch'),
      subscribe('watch', '~/t'),
      connect('a'),
      send('a', { cmd: 'publish', topic: '~/t', payload: '1', qos: 1, messageId: 7 }),
      expect('a', '40 02 00 07'),
      expect('watch', { cmd: 'publish', payload: '1' }),
      send('a', { cmd: 'publish', topic: '~/t', payload: '2', qos: 2, messageId: 7 }),
      expect('a', '50 02 00 07'),
      send('a', { cmd: 'publish', topic: '~/t', payload: '2', qos: 2, dup: true, messageId: 7 }),
      expect('a', '50 02 00 07'),
      send('a', '62 02 00 07'),
      expect('a', '70 02 00 07'),
      expect('watch', { cmd: 'publish', payload: '2' }),
    ],
  },
  {
    clause: ['MQTT31-3.3-2'],
    title: 'a PUBLISH that is not allowed is acknowledged',
    steps: [
      connect('a'),
      send('a', { cmd: 'publish', topic: '$SYS/~/t', payload: 'x', qos: 1, messageId: 1 }),
      expect('a', '40 02 00 01'),
    ],
  },
  {
    clause: ['MQTT31-3.3-3'],
    title: 'a wildcard in a topic name closes the connection',
    steps: closes(raw(0x30, utf8('~/+'), text('x')), raw(0x32, utf8('~/#'), 0, 1, text('x'))),
  },
]

/** CONNECT of a bridge: the high bit of the version is set. */
const bridge = (on: string, name: string, level: number): readonly Steps[] => [
  open(on),
  send(on, connect311({ name, level: 0x80 | level }, utf8(`~${on}`))),
  expect(on, ACCEPTED),
]

export const BRIDGES: readonly Row[] = (
  [
    ['MQIsdp', 3],
    ['MQTT', 4],
  ] as const
).flatMap(([name, level]): Row[] => [
  {
    clause: ['MQTT31-bridge-1'],
    title: `a bridge of ${name} gets live messages with the RETAIN flag they were published with`,
    steps: [
      bridge('b', name, level),
      subscribe('b', ['~/#', 1]),
      publish({ topic: '~/kept', payload: 'x', qos: 1, retain: true }),
      expect('b', { cmd: 'publish', topic: '~/kept', retain: true, qos: 1 }),
      publish({ topic: '~/passing', payload: 'x' }),
      expect('b', { cmd: 'publish', topic: '~/passing', retain: false }),
    ],
  },
  {
    clause: ['MQTT31-bridge-2'],
    title: `a bridge of ${name} does not get back what it published`,
    steps: [
      connect('watch'),
      subscribe('watch', '~/#'),
      bridge('b', name, level),
      subscribe('b', ['~/#', 1]),
      send('b', { cmd: 'publish', topic: '~/t', payload: 'x', qos: 1, messageId: 1 }),
      expect('b', '40 02 00 01'),
      expect('watch', { cmd: 'publish', payload: 'x' }),
      nothing('b'),
    ],
  },
])

export const MIXED: readonly Row[] = [
  {
    clause: ['MQTT31-mixed-1'],
    title: 'a session begun with 3.1 goes on with 3.1.1, and the other way round',
    steps: [
      accepted('a', { flags: 0 }, utf8('~a')),
      subscribe('a', ['~/t', 1]),
      drop('a'),
      publish({ topic: '~/t', payload: '1', qos: 1 }),
      open('b', { acks: true }),
      send('b', connect311({ flags: 0 }, utf8('~a'))),
      expect('b', '20 02 01 00'),
      expect('b', { cmd: 'publish', payload: '1', qos: 1 }),
      drop('b'),
      publish({ topic: '~/t', payload: '2', qos: 1 }),
      open('c', { acks: true }),
      send('c', connectBytes({ flags: 0 }, utf8('~a'))),
      expect('c', ACCEPTED),
      expect('c', { cmd: 'publish', payload: '2', qos: 1 }),
    ],
  },
]
