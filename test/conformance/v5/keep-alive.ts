/** MQTT 5, §3.1.2.10 and §3.2.2.3.14: keep alive. */
import { closed, connect, elapse, expect, publish, type Row, send, subscribe } from '../rig/format.ts'
import { lacks } from './bytes.ts'

export const KEEP_ALIVE: readonly Row[] = [
  {
    clause: ['MQTT-3.1.2-22', 'MQTT-3.2.2-22', 'MQTT-3.1.2-8'],
    title: 'silence for one and a half times the keep alive ends the connection, and the will is published',
    mosquittoDiffers: 'it looks every five seconds only',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      connect('a', { keepalive: 1, will: { topic: '~/will', payload: 'x' } }, { properties: lacks('serverKeepAlive') }),
      closed('a', { after: 1.49, before: 2.5, maybe: { cmd: 'disconnect', reasonCode: 0x8d } }),
      expect('watch', { cmd: 'publish', payload: 'x' }),
    ],
  },
  {
    clause: ['MQTT-3.1.2-22'],
    title: 'a client that fell silent is told why it is closed',
    mosquittoDiffers: 'it closes without a word',
    steps: [connect('a', { keepalive: 1 }), expect('a', { cmd: 'disconnect', reasonCode: 0x8d }), closed('a')],
  },
  {
    clause: ['MQTT-3.1.2-22'],
    title: 'what the server sends does not keep the connection',
    mosquittoDiffers: 'it looks every five seconds only',
    steps: [
      connect('a', { keepalive: 1 }),
      subscribe('a', '~/t'),
      elapse(1),
      publish({ topic: '~/t', payload: 'x' }),
      expect('a', { cmd: 'publish' }),
      closed('a', { after: 1.49, before: 2.5, maybe: { cmd: 'disconnect', reasonCode: 0x8d } }),
    ],
  },
  {
    clause: ['MQTT-3.1.2-22'],
    title: 'any packet within the time keeps the connection, and keep alive 0 needs none',
    steps: [
      connect('pings', { keepalive: 2 }),
      connect('publishes', { keepalive: 2 }),
      connect('releases', { keepalive: 2 }),
      connect('silent', { keepalive: 0 }),
      ...[1, 2, 3].flatMap(messageId => [
        elapse(2.2),
        send('pings', 'c0 00'),
        expect('pings', 'd0 00'),
        send('publishes', { cmd: 'publish', topic: '~/t', payload: 'x' }),
        send('releases', { cmd: 'pubrel', messageId, reasonCode: 0 }),
        expect('releases', { cmd: 'pubcomp', messageId }),
      ]),
    ],
  },
  {
    clause: ['MQTT-3.2.2-22', 'MQTT-3.1.2-22'],
    title: 'a keep alive over the limit of the server is replaced, and the client told',
    broker: { bystander: false, larder: 'limits:\n  max_keepalive: 10s\n', mosquitto: ['max_keepalive 10'] },
    steps: [
      connect('long', { keepalive: 600 }, { properties: { serverKeepAlive: 10 } }),
      connect('none', { keepalive: 0 }, { properties: { serverKeepAlive: 10 } }),
      connect('short', { keepalive: 5 }, { properties: lacks('serverKeepAlive') }),
    ],
  },
  {
    clause: ['MQTT-3.1.2-22'],
    title: 'the keep alive of the server is the one that counts',
    broker: { bystander: false, larder: 'limits:\n  max_keepalive: 1s\n' },
    steps: [
      connect('a', { keepalive: 600 }, { properties: { serverKeepAlive: 1 } }),
      closed('a', { after: 1.49, before: 2.5, maybe: { cmd: 'disconnect', reasonCode: 0x8d } }),
    ],
  },
  { clause: ['MQTT-3.1.2-20', 'MQTT-3.1.2-21', 'MQTT-3.2.2-21'], notObservable: 'they bind the client alone' },
]
