/** MQTT 5, §1.5: UTF-8 strings wherever a packet has one, string pairs, variable byte integers, binary data. */
import {
  connect,
  expect,
  nothing,
  type Part,
  props,
  publish,
  type Raw,
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
  ILL_FORMED,
  identifiers,
  MALFORMED,
  NUL,
  publishBytes,
  refuses,
  refusesConnect,
  subscribeBytes,
  subscribeWith,
  USERNAME,
  WILL,
  willBytes,
} from './bytes.ts'

interface Place {
  where: string
  clause: readonly string[]
  packet: (string: string) => Raw
  isFirst?: boolean
}

const withReason = (first: number, code: number, ...properties: Part[]): Raw =>
  raw(first, 0, 1, code, props(...properties))

const PLACES: readonly Place[] = [
  {
    where: 'the client identifier',
    clause: ['MQTT-3.1.3-4'],
    packet: string => connectBytes({}, string),
    isFirst: true,
  },
  {
    where: 'the will topic',
    clause: ['MQTT-3.1.3-11', 'MQTT-4.7.3-2'],
    packet: string => connectBytes({ flags: CLEAN | WILL }, utf8('~a'), 0, string, utf8('x')),
    isFirst: true,
  },
  {
    where: 'the user name',
    clause: ['MQTT-3.1.3-12'],
    packet: string => connectBytes({ flags: CLEAN | USERNAME }, utf8('~a'), string),
    isFirst: true,
  },
  {
    where: 'the authentication method',
    clause: [],
    packet: string => connectBytes({ properties: [0x15, string] }, utf8('~a')),
    isFirst: true,
  },
  {
    where: 'the content type of a will',
    clause: ['MQTT-3.3.2-19'],
    packet: string => willBytes(3, string),
    isFirst: true,
  },
  {
    where: 'the response topic of a will',
    clause: ['MQTT-3.3.2-13'],
    packet: string => willBytes(8, string),
    isFirst: true,
  },
  {
    where: 'the name of a user property of CONNECT',
    clause: ['MQTT-1.5.7-1'],
    packet: string => connectBytes({ properties: [0x26, string, utf8('v')] }, utf8('~a')),
    isFirst: true,
  },
  {
    where: 'the value of a user property of a will',
    clause: ['MQTT-1.5.7-1'],
    packet: string => willBytes(0x26, utf8('n'), string),
    isFirst: true,
  },
  {
    where: 'a topic name',
    clause: ['MQTT-3.3.2-1', 'MQTT-4.7.3-2'],
    packet: string => raw(0x30, string, props(), text('x')),
  },
  {
    where: 'a topic name with a topic alias',
    clause: ['MQTT-3.3.2-1', 'MQTT-4.7.3-2'],
    packet: string => raw(0x32, string, 0, 1, props('23 00 01'), text('x')),
  },
  { where: 'a content type', clause: ['MQTT-3.3.2-19'], packet: string => publishBytes(3, string) },
  { where: 'a response topic', clause: ['MQTT-3.3.2-13'], packet: string => publishBytes(8, string) },
  {
    where: 'the name of a user property',
    clause: ['MQTT-1.5.7-1'],
    packet: string => publishBytes(0x26, string, utf8('v')),
  },
  {
    where: 'the value of a user property',
    clause: ['MQTT-1.5.7-1'],
    packet: string => publishBytes(0x26, utf8('n'), string),
  },
  {
    where: 'the second user property',
    clause: ['MQTT-1.5.7-1'],
    packet: string => publishBytes(0x26, utf8('n'), utf8('v'), 0x26, utf8('n'), string),
  },
  {
    where: 'a filter in SUBSCRIBE',
    clause: ['MQTT-3.8.3-1', 'MQTT-4.7.3-2'],
    packet: string => raw(0x82, 0, 1, props(), string, 0),
  },
  {
    where: 'the second filter in SUBSCRIBE',
    clause: ['MQTT-3.8.3-1', 'MQTT-4.7.3-2'],
    packet: string => raw(0x82, 0, 1, props(), utf8('~/t'), 0, string, 0),
  },
  {
    where: 'a user property of SUBSCRIBE',
    clause: ['MQTT-1.5.7-1'],
    packet: string => subscribeBytes(0x26, string, utf8('v')),
  },
  {
    where: 'a filter in UNSUBSCRIBE',
    clause: ['MQTT-3.10.3-1', 'MQTT-4.7.3-2'],
    packet: string => raw(0xa2, 0, 1, props(), string),
  },
  {
    where: 'the second filter in UNSUBSCRIBE',
    clause: ['MQTT-3.10.3-1', 'MQTT-4.7.3-2'],
    packet: string => raw(0xa2, 0, 1, props(), utf8('~/t'), string),
  },
  {
    where: 'a user property of UNSUBSCRIBE',
    clause: ['MQTT-1.5.7-1'],
    packet: string => raw(0xa2, 0, 1, props(0x26, utf8('n'), string), utf8('~/t')),
  },
  { where: 'the reason string of PUBACK', clause: [], packet: string => withReason(0x40, 0, 0x1f, string) },
  { where: 'the reason string of PUBREC', clause: [], packet: string => withReason(0x50, 0, 0x1f, string) },
  { where: 'the reason string of PUBREL', clause: [], packet: string => withReason(0x62, 0x92, 0x1f, string) },
  { where: 'the reason string of PUBCOMP', clause: [], packet: string => withReason(0x70, 0x92, 0x1f, string) },
  {
    where: 'a user property of PUBACK',
    clause: ['MQTT-1.5.7-1'],
    packet: string => withReason(0x40, 0, 0x26, utf8('n'), string),
  },
  { where: 'the reason string of DISCONNECT', clause: [], packet: string => raw(0xe0, 0, props(0x1f, string)) },
  {
    where: 'a user property of DISCONNECT',
    clause: ['MQTT-1.5.7-1'],
    packet: string => raw(0xe0, 0, props(0x26, utf8('n'), string)),
  },
]

const refusesStrings = (strings: readonly string[], { packet, isFirst }: Place) =>
  (isFirst === true ? refusesConnect : refuses)(MALFORMED, ...strings.map(packet))

/** Where a Remaining Length gets a byte more. */
const REMAINING_LENGTHS = [127, 128, 16_383, 16_384]
/** Of a PUBLISH to `~/t`, without its payload: the topic and the length of no properties. */
const HEADER_LENGTH = 11

/** The ends of one, two, three and four bytes. */
const IDENTIFIERS: readonly (readonly [number, string])[] = [
  [1, '01'],
  [127, '7f'],
  [128, '80 01'],
  [16_383, 'ff 7f'],
  [16_384, '80 80 01'],
  [2_097_151, 'ff ff 7f'],
  [2_097_152, '80 80 80 01'],
  [268_435_455, 'ff ff ff 7f'],
]

export const STRINGS: readonly Row[] = [
  ...PLACES.flatMap((place): Row[] => [
    {
      clause: ['MQTT-1.5.4-1', ...place.clause.filter(id => id !== 'MQTT-4.7.3-2')],
      title: `ill-formed UTF-8 in ${place.where} is malformed`,
      steps: refusesStrings(ILL_FORMED, place),
    },
    {
      clause: ['MQTT-1.5.4-2', ...place.clause],
      title: `U+0000 in ${place.where} is malformed`,
      steps: refusesStrings(NUL, place),
    },
  ]),
  {
    clause: ['MQTT-1.5.4-3', 'MQTT-4.7.3-4'],
    title: 'EF BB BF is a character of a topic like any other, first or not',
    steps: [
      connect('a'),
      subscribe('a', '\uFEFF~/\uFEFFt'),
      connect('b'),
      subscribe('b', '~/t', '~/\uFEFFt', '\uFEFF~/t'),
      publish({ topic: '\uFEFF~/\uFEFFt', payload: 'x' }),
      expect('a', raw(0x30, '00 0e ef bb bf', text('~/'), 'ef bb bf', text('t'), props(), text('x'))),
      nothing('b'),
    ],
  },
  {
    clause: ['MQTT-1.5.4-3'],
    title: 'EF BB BF stays in the properties of a message',
    steps: [
      connect('a'),
      subscribe('a', '~/t'),
      send('a', publishBytes(0x26, '00 04 ef bb bf 61', '00 06 ef bb bf ef bb bf')),
      expect('a', raw(0x30, utf8('~/t'), props(0x26, '00 04 ef bb bf 61', '00 06 ef bb bf ef bb bf'), text('x'))),
      send('a', publishBytes(3, '00 03 ef bb bf')),
      expect('a', raw(0x30, utf8('~/t'), props(3, '00 03 ef bb bf'), text('x'))),
    ],
  },
  {
    clause: ['MQTT-1.5.4-3', 'MQTT-3.1.3-2'],
    title: 'EF BB BF at the start of a client identifier makes it another one',
    steps: [connect('a', { clientId: '~a' }), connect('b', { clientId: '\uFEFF~a' }), nothing('a')],
  },
  {
    clause: ['MQTT-1.5.4-1', 'MQTT-1.5.7-1', 'MQTT-3.3.2-1', 'MQTT-3.8.3-1'],
    title: 'every length of UTF-8 sequence goes through as it came',
    steps: [
      connect('a', { clientId: '~\u00e9\u20ac\u{1f321}' }),
      subscribe('a', '~/\u00e9/\u20ac/\u{1f321}/\u{10fffd}'),
      send(
        'a',
        raw(
          0x30,
          utf8('~/\u00e9/\u20ac/\u{1f321}/\u{10fffd}'),
          props(0x26, utf8('\u20ac'), utf8('\u{1f321}\u{10fffd}')),
          text('x'),
        ),
      ),
      expect(
        'a',
        raw(
          0x30,
          utf8('~/\u00e9/\u20ac/\u{1f321}/\u{10fffd}'),
          props(0x26, utf8('\u20ac'), utf8('\u{1f321}\u{10fffd}')),
          text('x'),
        ),
      ),
    ],
  },
  {
    clause: ['MQTT-1.5.5-1'],
    title: 'the Remaining Length of the server has as few bytes as it can',
    steps: [
      connect('a'),
      subscribe('a', '~/t'),
      REMAINING_LENGTHS.flatMap(length => {
        const packet = raw(0x30, utf8('~/t'), props(), { pad: length - HEADER_LENGTH, of: 'x' })
        return [send('a', packet), expect('a', packet)]
      }),
    ],
  },
  {
    clause: ['MQTT-1.5.5-1'],
    title: 'a Subscription Identifier comes back with as few bytes as it can',
    steps: [
      connect('a'),
      IDENTIFIERS.flatMap(([value, bytes]) => [
        subscribeWith('a', value, { topic: `~/${value}`, qos: 0 }),
        publish({ topic: `~/${value}`, payload: 'x' }),
        expect('a', { cmd: 'publish', properties: { subscriptionIdentifier: identifiers(value) } }),
        publish({ topic: `~/${value}`, payload: '' }),
        expect('a', raw(0x30, utf8(`~/${value}`), props(0x0b, bytes))),
      ]),
    ],
  },
  {
    clause: ['MQTT-1.5.5-1'],
    title: 'a variable byte integer with more bytes than it needs is malformed',
    mosquittoDiffers: 'it takes it',
    steps: refuses(
      MALFORMED,
      'c0 80 00',
      '30 8b 00 00 06 61 62 63 2f 64 65 00 78 78',
      raw(0x30, utf8('~/t'), '80 00', text('x')),
      raw(0x82, 0, 1, props('0b 81 00'), utf8('~/t'), 0),
      raw(0x82, 0, 1, '82 80 00 0b 01', utf8('~/t'), 0),
    ),
  },
  {
    clause: ['MQTT-1.5.5-1', 'MQTT-4.13.1-1'],
    title: 'a variable byte integer of more than four bytes is malformed',
    steps: refuses(
      MALFORMED,
      '30 ff ff ff ff 01',
      '30 80 80 80 80 00',
      'c0 80 80 80 80 00',
      raw(0x30, utf8('~/t'), '80 80 80 80 00', text('x')),
      raw(0x82, 0, 1, '80 80 80 80 00', utf8('~/t'), 0),
      raw(0x82, 0, 1, props(0x0b, 'ff ff ff ff 01'), utf8('~/t'), 0),
    ),
  },
  {
    clause: ['MQTT-3.3.2-16', 'MQTT-3.1.3-1'],
    title: 'binary data may be any bytes, none, and 65,535 of them',
    steps: [
      connect('a'),
      subscribe('a', '~/t'),
      ['00 00', '00 03 00 ff c0', '00 01 00'].flatMap(bytes => [
        send('a', publishBytes(9, bytes)),
        expect('a', raw(0x30, utf8('~/t'), props(9, bytes), text('x'))),
      ]),
      send('a', publishBytes(9, 'ff ff', { pad: 65_535, of: 'c' })),
      expect('a', raw(0x30, utf8('~/t'), props(9, 'ff ff', { pad: 65_535, of: 'c' }), text('x'))),
    ],
  },
]
