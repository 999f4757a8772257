/** MQTT 5, §2.2.2: properties in packets of a client: in the wrong place, twice, cut off, out of range. */
import { connect, expect, type Part, props, publish, type Raw, type Row, raw, subscribe, utf8 } from '../rig/format.ts'
import {
  CLEAN,
  connectBytes,
  MALFORMED,
  PROTOCOL_ERROR,
  pair,
  publishBytes,
  refuses,
  refusesConnect,
  subscribeBytes,
  WILL,
  willBytes,
} from './bytes.ts'

/** One of each, by its identifier. */
const SAMPLES: Readonly<Record<number, string>> = {
  1: '01 01',
  2: '02 00 00 00 3c',
  3: '03 00 01 61',
  8: '08 00 01 61',
  9: '09 00 01 61',
  11: '0b 01',
  17: '11 00 00 00 3c',
  18: '12 00 01 61',
  19: '13 00 3c',
  21: '15 00 01 61',
  22: '16 00 01 61',
  23: '17 01',
  24: '18 00 00 00 00',
  25: '19 01',
  26: '1a 00 01 61',
  28: '1c 00 01 61',
  31: '1f 00 01 61',
  33: '21 00 0a',
  34: '22 00 0a',
  35: '23 00 01',
  36: '24 01',
  37: '25 01',
  38: '26 00 01 61 00 01 62',
  39: '27 00 01 00 00',
  40: '28 01',
  41: '29 01',
  42: '2a 01',
}
/** Identifiers that no property has. */
const UNKNOWN = [
  '00',
  '04 00',
  '07 00',
  '0a 00',
  '0c 00',
  '14 00',
  '1b 00',
  '1d 00',
  '20 00',
  '2b 00',
  '7f 00',
  '81 01 00',
]

interface Place {
  packet: string
  build: (...properties: Part[]) => Raw
  /** What it may have. */
  allowed: readonly number[]
  isFirst?: boolean
}

const PLACES: readonly Place[] = [
  {
    packet: 'CONNECT',
    build: (...properties) => connectBytes({ properties }, utf8('~a')),
    allowed: [17, 21, 22, 23, 25, 33, 34, 38, 39],
    isFirst: true,
  },
  { packet: 'a will', build: willBytes, allowed: [1, 2, 3, 8, 9, 24, 38], isFirst: true },
  // A Subscription Identifier is an error of its own there [MQTT-3.3.4-6].
  { packet: 'PUBLISH', build: publishBytes, allowed: [1, 2, 3, 8, 9, 11, 35, 38] },
  { packet: 'PUBACK', build: (...list) => raw(0x40, 0, 1, 0, props(...list)), allowed: [31, 38] },
  { packet: 'PUBREC', build: (...list) => raw(0x50, 0, 1, 0, props(...list)), allowed: [31, 38] },
  { packet: 'PUBREL', build: (...list) => raw(0x62, 0, 1, 0, props(...list)), allowed: [31, 38] },
  { packet: 'PUBCOMP', build: (...list) => raw(0x70, 0, 1, 0, props(...list)), allowed: [31, 38] },
  { packet: 'SUBSCRIBE', build: subscribeBytes, allowed: [11, 38] },
  { packet: 'UNSUBSCRIBE', build: (...list) => raw(0xa2, 0, 1, props(...list), utf8('~/t')), allowed: [38] },
  // Table 2-4 has the Server Reference for DISCONNECT, without a word on who sends it.
  { packet: 'DISCONNECT', build: (...list) => raw(0xe0, 0, props(...list)), allowed: [17, 28, 31, 38] },
]

const place = (name: string): Place => PLACES.find(({ packet }) => packet === name) as Place

const breaks = ({ isFirst }: Place, codes: number | readonly number[], ...packets: Raw[]) =>
  (isFirst === true ? refusesConnect : refuses)(codes, ...packets)

/** A property twice, by the statement that forbids it. */
const TWICE: readonly (readonly [clause: string, packet: string, property: number, what: string])[] = [
  ['PE-3.1.2.11.2-1', 'CONNECT', 17, 'Session Expiry Interval'],
  ['PE-3.1.2.11.3-1', 'CONNECT', 33, 'Receive Maximum'],
  ['PE-3.1.2.11.4-1', 'CONNECT', 39, 'Maximum Packet Size'],
  ['PE-3.1.2.11.5-1', 'CONNECT', 34, 'Topic Alias Maximum'],
  ['PE-3.1.2.11.6-1', 'CONNECT', 25, 'Request Response Information'],
  ['PE-3.1.2.11.7-1', 'CONNECT', 23, 'Request Problem Information'],
  ['PE-3.1.3.2.2-1', 'a will', 24, 'Will Delay Interval'],
  ['PE-3.1.3.2.3-1', 'a will', 1, 'Payload Format Indicator'],
  ['PE-3.1.3.2.4-1', 'a will', 2, 'Message Expiry Interval'],
  ['PE-3.1.3.2.5-1', 'a will', 3, 'Content Type'],
  ['PE-3.1.3.2.6-1', 'a will', 8, 'Response Topic'],
  ['PE-3.1.3.2.7-1', 'a will', 9, 'Correlation Data'],
  ['PE-3.3.2.3.4-1', 'PUBLISH', 35, 'Topic Alias'],
  ['PE-3.3.2.3.5-1', 'PUBLISH', 8, 'Response Topic'],
  ['PE-3.3.2.3.6-1', 'PUBLISH', 9, 'Correlation Data'],
  ['PE-3.3.2.3.9-1', 'PUBLISH', 3, 'Content Type'],
  ['PE-3.4.2.2.2-1', 'PUBACK', 31, 'Reason String'],
  ['PE-3.5.2.2.2-1', 'PUBREC', 31, 'Reason String'],
  ['PE-3.6.2.2.2-1', 'PUBREL', 31, 'Reason String'],
  ['PE-3.7.2.2.2-1', 'PUBCOMP', 31, 'Reason String'],
  ['PE-3.8.2.1.2-2', 'SUBSCRIBE', 11, 'Subscription Identifier'],
  ['PE-3.14.2.2.2-1', 'DISCONNECT', 17, 'Session Expiry Interval'],
  ['PE-3.14.2.2.3-1', 'DISCONNECT', 31, 'Reason String'],
]

/** Properties that end too soon, or later than their length says. */
const CUT_OFF: readonly (readonly Part[])[] = [
  ['05'],
  ['02 26 00'],
  ['06 26 00 01 61 00 01'],
  ['07 26 00 01 61 00 05 62'],
  ['04 26 00 01 61'],
  ['7f 26 00 01 61 00 01 62'],
]

export const PROPERTIES: readonly Row[] = [
  ...PLACES.map((where): Row => {
    const foreign = Object.entries(SAMPLES).filter(([id]) => !where.allowed.includes(Number(id)))
    return {
      clause: ['PE-2.2.2.2-1', 'MQTT-4.13.1-1'],
      title: `a property that is not for it makes ${where.packet} malformed`,
      steps: breaks(where, MALFORMED, ...foreign.map(([, bytes]) => where.build(bytes))),
    }
  }),
  ...PLACES.map(
    (where): Row => ({
      clause: ['PE-2.2.2.2-1', 'MQTT-4.13.1-1'],
      title: `a property that does not exist makes ${where.packet} malformed`,
      steps: breaks(where, MALFORMED, ...UNKNOWN.map(bytes => where.build(bytes))),
    }),
  ),
  ...TWICE.map(
    ([clause, packet, property, what]): Row => ({
      clause: [clause, 'MQTT-4.13.1-1'],
      title: `${what} twice in ${packet} is a Protocol Error`,
      steps: breaks(
        place(packet),
        PROTOCOL_ERROR,
        place(packet).build(SAMPLES[property] ?? '', SAMPLES[property] ?? ''),
        place(packet).build(SAMPLES[property] ?? '', ...pair('n', 'v'), SAMPLES[property] ?? ''),
      ),
    }),
  ),
  {
    clause: ['PE-3.1.2.11.9-1', 'PE-3.1.2.11.10-2'],
    title: 'authentication method or data twice in CONNECT is a Protocol Error',
    // The method is none that anybody has, which may be seen first.
    steps: refusesConnect(
      [PROTOCOL_ERROR, 0x8c],
      connectBytes({ properties: ['15 00 01 61', '15 00 01 61'] }, utf8('~a')),
      connectBytes({ properties: ['15 00 01 61', '16 00 01 61', '16 00 01 61'] }, utf8('~a')),
    ),
  },
  {
    clause: ['PE-3.1.2.11.10-1'],
    title: 'authentication data without a method is a Protocol Error',
    mosquittoDiffers: 'it takes it',
    steps: refusesConnect(PROTOCOL_ERROR, connectBytes({ properties: ['16 00 01 61'] }, utf8('~a'))),
  },
  {
    clause: ['PE-3.1.2.11.3-1', 'PE-3.1.2.11.4-1'],
    title: 'Receive Maximum 0 and Maximum Packet Size 0 are Protocol Errors',
    steps: refusesConnect(
      PROTOCOL_ERROR,
      connectBytes({ properties: ['21 00 00'] }, utf8('~a')),
      connectBytes({ properties: ['27 00 00 00 00'] }, utf8('~a')),
    ),
  },
  {
    clause: ['PE-3.1.2.11.6-1', 'PE-3.1.2.11.7-1'],
    title: 'Request Response Information and Request Problem Information are 0 or 1',
    steps: refusesConnect(
      PROTOCOL_ERROR,
      ...['19 02', '19 ff', '17 02', '17 80'].map(bytes => connectBytes({ properties: [bytes] }, utf8('~a'))),
    ),
  },
  {
    clause: ['PE-3.8.2.1.2-1'],
    title: 'Subscription Identifier 0 in SUBSCRIBE is a Protocol Error',
    mosquittoDiffers: 'it calls it malformed',
    steps: refuses(PROTOCOL_ERROR, subscribeBytes('0b 00')),
  },
  {
    clause: ['PE-2.2.2.2-1', 'MQTT-3.1.4-1', 'MQTT-4.13.1-1'],
    title: 'properties that are cut off make their packet malformed',
    steps: [
      refusesConnect(
        MALFORMED,
        ...CUT_OFF.map(bytes => raw(0x10, utf8('MQTT'), 5, CLEAN, 0, 0, ...bytes)),
        ...CUT_OFF.map(bytes => connectBytes({ flags: CLEAN | WILL }, utf8('~a'), ...bytes)),
        connectBytes({ properties: ['11 00 00'] }, utf8('~a')),
        connectBytes({ properties: ['21 00'] }, utf8('~a')),
        connectBytes({ properties: ['19'] }, utf8('~a')),
      ),
      refuses(
        MALFORMED,
        ...CUT_OFF.map(bytes => raw(0x30, utf8('~/t'), ...bytes)),
        ...CUT_OFF.map(bytes => raw(0x40, 0, 1, 0, ...bytes)),
        ...CUT_OFF.map(bytes => raw(0x82, 0, 1, ...bytes)),
        ...CUT_OFF.map(bytes => raw(0xa2, 0, 1, ...bytes)),
        ...CUT_OFF.map(bytes => raw(0xe0, 0, ...bytes)),
        publishBytes('02 00 00'),
        publishBytes('23 00'),
        publishBytes('01'),
        subscribeBytes('0b'),
        subscribeBytes('0b 80'),
      ),
    ],
  },
  {
    clause: ['PE-2.2.2.2-1', 'MQTT-3.3.2-17', 'MQTT-3.3.2-18'],
    title: 'a user property may be there any number of times, with the same name too, with empty ones too',
    steps: [
      connect('a', { properties: { userProperties: { n: ['1', '2'], '': '' } } }),
      subscribe('a', '~/t'),
      publish({ topic: '~/t', payload: 'x', properties: { userProperties: { n: ['1', '2', '1'], '': ['', 'v'] } } }),
      expect('a', {
        cmd: 'publish',
        pairs: [
          ['n', '1'],
          ['n', '2'],
          ['n', '1'],
          ['', ''],
          ['', 'v'],
        ],
      }),
    ],
  },
  {
    clause: ['PE-2.2.2.2-1'],
    title: 'the order of different properties does not matter',
    steps: [
      connect('a'),
      subscribe('a', '~/t'),
      publish({
        topic: '~/t',
        payload: '1',
        properties: { contentType: 'c', payloadFormatIndicator: true, responseTopic: '~/r' },
      }),
      publish({
        topic: '~/t',
        payload: '2',
        properties: { responseTopic: '~/r', payloadFormatIndicator: true, contentType: 'c' },
      }),
      ...['1', '2'].map(payload =>
        expect('a', {
          cmd: 'publish',
          payload,
          properties: { responseTopic: '~/r', payloadFormatIndicator: true, contentType: 'c' },
        }),
      ),
    ],
  },
]
