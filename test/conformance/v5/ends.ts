/** MQTT 5, §3.12 PINGREQ, §3.14 DISCONNECT, §4.2 transports and §6 WebSocket. */
import {
  closed,
  connect,
  expect,
  nothing,
  open,
  props,
  publish,
  type Row,
  raw,
  restart,
  send,
  sequence,
  subprotocol,
  subscribe,
  text,
  utf8,
} from '../rig/format.ts'
import { PROTOCOL_ERROR, pair, refused } from './bytes.ts'

export const ENDS: readonly Row[] = [
  {
    clause: ['MQTT-3.12.4-1'],
    title: 'each PINGREQ has its PINGRESP',
    steps: [
      connect('a'),
      send('a', ['c0 00', 'c0 00', 'c0 00']),
      sequence('a', 'd0 00', 'd0 00', 'd0 00'),
      send('a', 'c0 00', { cuts: 'each' }),
      expect('a', 'd0 00'),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT-3.14.4-3', 'MQTT-3.14.4-1', 'MQTT-3.14.4-2', 'MQTT-3.14.2-1'],
    title: 'after DISCONNECT the server closes, sends nothing and looks at nothing more',
    steps: [
      connect('watch'),
      subscribe('watch', '~/#'),
      connect('a', { will: { topic: '~/will', payload: 'x' } }),
      subscribe('a', '~/t'),
      send('a', [
        { cmd: 'disconnect', reasonCode: 0 },
        { cmd: 'publish', topic: '~/t', payload: 'late' },
        { cmd: 'pingreq' },
      ]),
      closed('a'),
      nothing('watch'),
    ],
  },
  {
    clause: ['MQTT-3.14.4-3', 'MQTT-3.14.2-1', 'PE-3.14.2.2.3-1'],
    title: 'DISCONNECT may say why, and have user properties',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      connect('a', { will: { topic: '~/will', payload: 'x' } }),
      send('a', raw(0xe0, 0, props(0x1f, utf8('good night'), ...pair('n', '1'), ...pair('n', '2')))),
      closed('a'),
      nothing('watch'),
      connect('b', { will: { topic: '~/will', payload: 'x' } }),
      send('b', raw(0xe0, 4, props(0x1f, utf8('farewell')))),
      closed('b'),
      expect('watch', { cmd: 'publish', payload: 'x' }),
    ],
  },
  {
    clause: ['MQTT-3.14.2-1', 'MQTT-3.14.2-2', 'MQTT-3.14.4-1', 'MQTT-3.14.4-2', 'MQTT-4.13.2-1', 'PE-3.14.2.2.3-1'],
    title: 'a DISCONNECT of the server has a code from its table, no Session Expiry Interval, and is the last',
    // All but the code is what `strict.ts` looks at in every DISCONNECT.
    steps: [
      connect('a', { clean: false, properties: { sessionExpiryInterval: 60 } }),
      subscribe('a', '~/t'),
      send('a', [{ cmd: 'connect' }, { cmd: 'pingreq' }, { cmd: 'publish', topic: '~/t', payload: 'x' }]),
      refused('a', PROTOCOL_ERROR),
    ],
  },
  {
    clause: ['MQTT-3.14.2-1', 'MQTT-3.14.4-2'],
    title: 'a server that shuts down says so',
    mosquittoDiffers: 'it closes without a word',
    broker: 'own',
    steps: [
      connect('a'),
      connect('b', { via: 'ws' }),
      restart('stop'),
      expect('a', { cmd: 'disconnect', reasonCode: 0x8b }),
      closed('a'),
      expect('b', { cmd: 'disconnect', reasonCode: 0x8b }),
      closed('b'),
    ],
  },
  { clause: ['PE-3.14.2.2.5-1'], notObservable: 'the gateway knows of no other server to send clients to' },
]

export const TRANSPORT: readonly Row[] = [
  {
    clause: ['MQTT-4.2.0-1'],
    title: 'TCP and WebSocket carry the same, and bytes may come in any pieces',
    steps: [
      connect('tcp'),
      subscribe('tcp', ['~/t', 1]),
      connect('ws', { via: 'ws' }),
      subscribe('ws', ['~/t', 1]),
      (['tcp', 'ws'] as const).flatMap(sender => {
        const packet = raw(0x30, utf8('~/t'), props(...pair('n', 'v')), text(sender))
        return [
          send(sender, packet, { cuts: sender === 'tcp' ? 'each' : [1, 2, 5, 12] }),
          expect('tcp', packet),
          expect('ws', packet),
        ]
      }),
    ],
  },
  {
    clause: ['MQTT-6.0.0-1'],
    title: 'a text frame closes the WebSocket; what the server sends is binary',
    mosquittoDiffers: 'it takes text frames',
    steps: [
      connect('a', { via: 'ws' }),
      send('a', 'c0 00'),
      expect('a', 'd0 00'),
      send('a', '30 04 00 01 74 00', { frame: 'text' }),
      closed('a', { maybe: { cmd: 'disconnect' } }),
      open('b', { via: 'ws' }),
      send('b', 'c0 00', { frame: 'text' }),
      closed('b'),
    ],
  },
  {
    clause: ['MQTT-6.0.0-2'],
    title: 'packets and frames have nothing to do with each other',
    steps: [
      open('a', { via: 'ws' }),
      send('a', [
        { cmd: 'connect' },
        { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '~/t', qos: 0 }] },
        'c0 00',
      ]),
      expect('a', { cmd: 'connack', reasonCode: 0 }),
      expect('a', { cmd: 'suback', granted: [0] }),
      expect('a', 'd0 00'),
      send('a', { cmd: 'publish', topic: '~/t', payload: 'x' }, { cuts: 'each' }),
      expect('a', { cmd: 'publish', payload: 'x' }),
      publish({ topic: '~/t', payload: 'y' }),
      expect('a', { cmd: 'publish', payload: 'y' }),
    ],
  },
  {
    clause: ['MQTT-6.0.0-4'],
    title: 'the server chooses the subprotocol mqtt',
    steps: [
      connect('a', { via: 'ws', subprotocols: ['mqtt'] }),
      subprotocol('a', 'mqtt'),
      connect('b', { via: 'ws', subprotocols: ['other', 'mqtt'] }),
      subprotocol('b', 'mqtt'),
    ],
  },
  { clause: ['MQTT-6.0.0-3'], notObservable: 'it binds the client alone' },
]
