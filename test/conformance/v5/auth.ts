/**
 * MQTT 5, §3.15 AUTH and §4.12: enhanced authentication. What goes to and fro in SCRAM-SHA-256 itself is tested where it
 * is made; here it is a method that has every packet of the exchange.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import {
  any,
  closed,
  connect,
  expect,
  type Fields,
  nothing,
  open,
  props,
  publish,
  type Row,
  raw,
  type Seen,
  type Steps,
  send,
  subscribe,
  utf8,
} from '../rig/format.ts'
import { connectBytes, lacks, MALFORMED, PROTOCOL_ERROR, refused, refuses, rejects } from './bytes.ts'

const METHOD = 'SCRAM-SHA-256'
const CONTINUE = 0x18
const REAUTHENTICATE = 0x19
const INVALID = [MALFORMED, PROTOCOL_ERROR]

const USER = 'kitchen'
const PASSWORD = 'pantry'
const SALT = Buffer.from('a salt of a test')
const ITERATIONS = 4_096

const hmac = (key: Buffer, message: string): Buffer => createHmac('sha256', key).update(message).digest()
const salted = pbkdf2Sync(PASSWORD, SALT, ITERATIONS, 32, 'sha256')
const clientKey = hmac(salted, 'Client Key')
const storedKey = createHash('sha256').update(clientKey).digest()
const serverKey = hmac(salted, 'Server Key')

/** A gateway with one user, who may come in by SCRAM. Mosquitto has no method without a plugin. */
const broker = {
  larder: "access:\n  password_file: '{dir}/passwords'\n  allow_anonymous: true\n",
  files: {
    passwords: `${USER}:$scram-sha-256$${ITERATIONS}$${[SALT, storedKey, serverKey].map(bytes => bytes.toString('base64')).join('$')}\n`,
  },
}

/** The client's first message (RFC 5802 §3). */
const BARE = `n=${USER},r=nonce-of-the-client`
const first = Buffer.from(`n,,${BARE}`)
const method = (authenticationData?: Buffer): Fields => ({
  authenticationMethod: METHOD,
  ...(authenticationData === undefined ? {} : { authenticationData }),
})

/** The client's last message, in answer to the AUTH that came last; `key` is the client's. */
function final({ last }: Seen, on: string, key: Buffer): Buffer {
  const serverFirst = String((last(on, 'auth').properties as { authenticationData: Buffer }).authenticationData)
  const withoutProof = `c=biws,${serverFirst.split(',')[0]}`
  const signature = hmac(storedKey, `${BARE},${serverFirst},${withoutProof}`)
  const proof = key.map((byte, index) => byte ^ (signature[index] ?? 0))
  return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`)
}

const auth = (reasonCode: number, properties: Fields) => ({ cmd: 'auth', reasonCode, properties })
const answer = (on: string, key = clientKey): Steps => send(on, seen => auth(CONTINUE, method(final(seen, on, key))))
const challenged = (on: string): Steps =>
  expect(on, {
    cmd: 'auth',
    reasonCode: CONTINUE,
    properties: { authenticationMethod: METHOD, authenticationData: any },
  })

/** CONNECT up to the server's challenge. */
const begins = (on: string, packet: Fields = {}): readonly Steps[] => [
  open(on),
  send(on, { cmd: 'connect', properties: method(first), ...packet }),
  challenged(on),
]
const authenticated = (on: string, packet: Fields = {}): readonly Steps[] => [
  begins(on, packet),
  answer(on),
  expect(on, {
    cmd: 'connack',
    reasonCode: 0,
    properties: { authenticationMethod: METHOD, authenticationData: any },
  }),
]
/** AUTH with other properties than it should have, from a client that may send AUTH. */
const refusesAuth = (codes: readonly number[], ...packets: ReturnType<typeof raw>[]): readonly Steps[] =>
  packets.map((packet, index) => [
    authenticated(`bad${index}`),
    send(`bad${index}`, packet),
    refused(`bad${index}`, ...codes),
  ])

export const AUTH: readonly Row[] = [
  {
    clause: ['MQTT-4.12.0-1', 'MQTT-3.2.2-7'],
    title: 'an authentication method that the server does not have is refused',
    steps: ['NOBODY-HAS-THIS', 'SCRAM-SHA-1', 'scram-sha-256', ''].map((authenticationMethod, index) =>
      rejects(`a${index}`, { properties: { authenticationMethod } }, 0x8c, 0x87),
    ),
  },
  {
    clause: ['MQTT-4.12.0-6', 'MQTT-4.12.0-7', 'PE-3.15-1', 'MQTT-4.13.1-1'],
    title: 'AUTH of a client that has no authentication method is a Protocol Error',
    steps: refuses(
      PROTOCOL_ERROR,
      raw(0xf0, CONTINUE, props(0x15, utf8(METHOD))),
      raw(0xf0, REAUTHENTICATE, props(0x15, utf8(METHOD))),
      raw(0xf0, CONTINUE, props(0x15, utf8(METHOD), '16 00 01 61')),
    ),
  },
  {
    clause: ['MQTT-4.12.0-6'],
    title: 'a client without a method is sent no AUTH, though the server has methods',
    broker,
    steps: [connect('a', {}, { properties: lacks('authenticationMethod') }), nothing('a')],
  },
  {
    clause: [
      'MQTT-4.12.0-2',
      'MQTT-4.12.0-3',
      'MQTT-4.12.0-5',
      'MQTT-3.15.2-1',
      'MQTT-3.2.0-1',
      'PE-3.2.2.3.17-1',
      'PE-3.2.2.3.18-1',
    ],
    title: 'the exchange goes on with 0x18 and ends with CONNACK, all with the method of the CONNECT',
    broker,
    steps: [
      authenticated('a'),
      subscribe('a', '~/t'),
      publish({ topic: '~/t', payload: 'x' }),
      expect('a', { cmd: 'publish', payload: 'x' }),
    ],
  },
  {
    clause: ['MQTT-4.12.0-4', 'MQTT-3.1.4-2', 'MQTT-3.2.2-7'],
    title: 'a client that cannot show who it is is refused',
    broker,
    steps: [
      begins('a'),
      answer('a', Buffer.alloc(32, 1)),
      expect('a', { cmd: 'connack', sessionPresent: false, reasonCode: 0x87 }),
      closed('a'),
      rejects('b', { properties: method(Buffer.from('nonsense')) }, 0x87, 0x86, 0x80),
      begins('c'),
      send('c', auth(CONTINUE, method(Buffer.from('nonsense')))),
      expect('c', { cmd: 'connack', sessionPresent: false, reasonCode: 0x87 }),
      closed('c'),
    ],
  },
  {
    clause: ['MQTT-3.1.2-30', 'MQTT-3.2.0-1', 'MQTT-3.1.4-6'],
    title: 'anything but AUTH and DISCONNECT before the CONNACK ends the connection, and has no effect',
    broker,
    steps: [
      connect('watch'),
      subscribe('watch', '~/#'),
      [
        { cmd: 'publish', topic: '~/t', payload: 'x' },
        { cmd: 'publish', topic: '~/t', payload: 'x', qos: 1, messageId: 1 },
        { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '~/t', qos: 0 }] },
        { cmd: 'pingreq' },
        { cmd: 'connect' },
      ].flatMap((packet, index) => [
        begins(`a${index}`, { will: { topic: '~/will', payload: 'x' } }),
        send(`a${index}`, packet),
        closed(`a${index}`, { maybe: { cmd: 'connack', reasonCode: PROTOCOL_ERROR } }),
      ]),
      begins('b', { will: { topic: '~/will', payload: 'x' } }),
      send('b', { cmd: 'disconnect', reasonCode: 0 }),
      closed('b'),
      nothing('watch'),
    ],
  },
  {
    clause: ['MQTT-4.12.0-3', 'MQTT-4.12.0-5', 'MQTT-4.12.0-4', 'PE-3.15-1', 'MQTT-3.14.0-1'],
    title: 'an answer with another code or another method is refused',
    broker,
    steps: [
      [
        auth(REAUTHENTICATE, method()),
        auth(0, method()),
        auth(CONTINUE, { authenticationMethod: 'SCRAM-SHA-1' }),
        raw(0xf0, CONTINUE, props()),
        raw(0xf0),
      ].flatMap((packet, index) => [
        begins(`a${index}`),
        send(`a${index}`, packet),
        closed(`a${index}`, { maybe: { cmd: 'connack', sessionPresent: false, reasonCode: isRefusal } }),
      ]),
    ],
  },
  {
    clause: ['MQTT-4.12.1-1', 'MQTT-3.15.2-1', 'MQTT-4.12.0-5'],
    title: 'a client may show again who it is, while everything else goes on',
    broker,
    steps: [
      authenticated('a'),
      subscribe('a', '~/t'),
      send('a', auth(REAUTHENTICATE, method(first))),
      challenged('a'),
      publish({ topic: '~/t', payload: 'x' }),
      expect('a', { cmd: 'publish', payload: 'x' }),
      send('a', 'c0 00'),
      expect('a', 'd0 00'),
      answer('a'),
      expect('a', {
        cmd: 'auth',
        reasonCode: 0,
        properties: { authenticationMethod: METHOD, authenticationData: any },
      }),
      send('a', auth(REAUTHENTICATE, method(first))),
      challenged('a'),
      answer('a'),
      expect('a', { cmd: 'auth', reasonCode: 0 }),
    ],
  },
  {
    clause: ['MQTT-4.12.1-2', 'MQTT-4.12.1-1', 'MQTT-3.1.2-8'],
    title: 'a client that fails to show it again is told and closed, and its will published',
    broker,
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      authenticated('a', { will: { topic: '~/will', payload: 'a' } }),
      send('a', auth(REAUTHENTICATE, method(first))),
      challenged('a'),
      answer('a', Buffer.alloc(32, 1)),
      refused('a', 0x87),
      expect('watch', { cmd: 'publish', payload: 'a' }),
      authenticated('b', { will: { topic: '~/will', payload: 'b' } }),
      send('b', auth(REAUTHENTICATE, { authenticationMethod: 'SCRAM-SHA-1' })),
      refused('b', PROTOCOL_ERROR, 0x87),
      expect('watch', { cmd: 'publish', payload: 'b' }),
    ],
  },
  {
    clause: ['PE-3.15.2.2.2-1', 'PE-3.15.2.2.3-1', 'PE-3.15.2.2.4-1', 'PE-3.15-1'],
    title: 'AUTH has its method once, data and reason string once at most',
    broker,
    steps: refusesAuth(
      [PROTOCOL_ERROR],
      raw(0xf0, REAUTHENTICATE, props()),
      raw(0xf0, REAUTHENTICATE),
      raw(0xf0, REAUTHENTICATE, props(0x15, utf8(METHOD), 0x15, utf8(METHOD))),
      raw(0xf0, REAUTHENTICATE, props(0x15, utf8(METHOD), '16 00 01 61', '16 00 01 61')),
      raw(0xf0, REAUTHENTICATE, props(0x15, utf8(METHOD), '1f 00 01 61', '1f 00 01 61')),
    ),
  },
  {
    clause: ['MQTT-3.15.1-1', 'MQTT-3.15.2-1', 'PE-2.2.2.2-1'],
    title: 'AUTH with a reserved flag, a code that is not its, or a property that is not for it is an error',
    broker,
    steps: [
      refusesAuth(
        [MALFORMED],
        ...[0xf1, 0xf2, 0xf4, 0xf8].map(byte => raw(byte, REAUTHENTICATE, props(0x15, utf8(METHOD)))),
      ),
      refusesAuth([MALFORMED], raw(0xf0, REAUTHENTICATE, props(0x15, utf8(METHOD), '11 00 00 00 00'))),
      refusesAuth(INVALID, ...[0x01, 0x17, 0x1a, 0x80].map(code => raw(0xf0, code, props(0x15, utf8(METHOD))))),
    ],
  },
  {
    clause: ['MQTT-3.15.2-2', 'MQTT-3.15.2-3', 'MQTT-3.1.2-24'],
    title: 'AUTH has no reason string and no user property that would make it too large for the client',
    // The challenge has its method and data, and must fit as it is; that it does is what `strict.ts` looks at.
    broker,
    steps: [
      open('a'),
      send('a', { cmd: 'connect', properties: { ...method(first), maximumPacketSize: 140 } }),
      challenged('a'),
      answer('a'),
      expect('a', { cmd: 'connack', reasonCode: 0 }),
    ],
  },
  {
    clause: ['MQTT-3.1.4-2', 'MQTT-3.2.2-7', 'MQTT-3.2.2-8'],
    title: 'a client that is not let in is told and closed',
    broker: {
      bystander: false,
      larder: "access:\n  password_file: '{dir}/passwords'\n",
      files: broker.files,
      mosquitto: ['allow_anonymous false'],
    },
    steps: [
      rejects('a', {}, 0x86, 0x87),
      rejects('b', { username: USER, password: 'wrong' }, 0x86, 0x87),
      rejects('c', connectBytes({ flags: 0x42 }, utf8('~a'), utf8('password')), 0x86, 0x87),
    ],
  },
]

function isRefusal(code: unknown): boolean {
  return [MALFORMED, PROTOCOL_ERROR, 0x8c, 0x87, 0x80].includes(Number(code))
}
