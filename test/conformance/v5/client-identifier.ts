/** MQTT 5, §3.1.3.1 and §3.1.4: the client identifier, and two connections that have the same. */
import {
  closed,
  connect,
  disconnect,
  expect,
  id,
  oneOf,
  open,
  publish,
  type Row,
  send,
  subscribe,
  utf8,
} from '../rig/format.ts'
import { CLEAN, connectBytes, lacks, MALFORMED, PROTOCOL_ERROR, refusesConnect, rejects } from './bytes.ts'

const UNKNOWN_METHOD = { authenticationMethod: 'NOBODY-HAS-THIS' }

export const CLIENT_IDENTIFIER: readonly Row[] = [
  {
    clause: ['MQTT-3.1.3-5', 'MQTT-3.1.4-5'],
    title: 'client identifiers of 1 to 23 letters and digits are accepted',
    steps: ['~0123456789abcdefg', '~hijklmnopqrstuvwx', '~yzABCDEFGHIJKLMNO', '~PQRSTUVWXYZ', 'V'].map(
      (clientId, index) => connect(`a${index}`, { clientId }, { properties: lacks('assignedClientIdentifier') }),
    ),
  },
  {
    clause: ['MQTT-3.1.3-6', 'MQTT-3.1.3-7', 'MQTT-3.2.2-16'],
    title: 'clients without an identifier each get one of their own, and are told',
    steps: [
      connect('a', { clientId: '' }, { sessionPresent: false, properties: { assignedClientIdentifier: id('a') } }),
      subscribe('a', '~/a'),
      connect('b', { clientId: '' }, { sessionPresent: false, properties: { assignedClientIdentifier: id('b', 'a') } }),
      subscribe('b', '~/b'),
      publish({ topic: '~/a', payload: 'a' }),
      publish({ topic: '~/b', payload: 'b' }),
      expect('a', { cmd: 'publish', payload: 'a' }),
      expect('b', { cmd: 'publish', payload: 'b' }),
    ],
  },
  {
    clause: ['MQTT-3.1.3-7', 'MQTT-3.1.2-5', 'MQTT-3.1.3-2'],
    title: 'an assigned identifier is one like any other: its client comes back to its session with it',
    steps: [
      open('a'),
      send('a', connectBytes({ flags: 0, properties: ['11 00 00 00 3c'] }, utf8(''))),
      expect('a', {
        cmd: 'connack',
        reasonCode: 0,
        sessionPresent: false,
        properties: { assignedClientIdentifier: id('a') },
      }),
      subscribe('a', ['~/t', 1]),
      disconnect('a'),
      publish({ topic: '~/t', payload: 'x', qos: 1 }),
      connect(
        'b',
        { clientId: id('a'), clean: false, acks: true },
        { sessionPresent: true, properties: lacks('assignedClientIdentifier') },
      ),
      expect('b', { cmd: 'publish', payload: 'x' }),
    ],
  },
  {
    clause: ['MQTT-3.1.3-8', 'MQTT-3.2.2-6', 'MQTT-3.2.2-7', 'MQTT-3.2.2-8'],
    title: 'an identifier that the gateway keeps for itself is refused',
    mosquittoDiffers: 'it keeps none for itself',
    steps: rejects('a', { clientId: '$bridge/~a' }, 0x85),
  },
  {
    clause: ['MQTT-3.1.4-3', 'MQTT-3.1.2-8'],
    title: 'the same identifier again: the older connection is told and closed, the newer stays',
    mosquittoDiffers: 'it closes without a word',
    steps: [
      connect('watch'),
      subscribe('watch', '~/will'),
      connect('a', { clientId: '~same', will: { topic: '~/will', payload: 'x' } }),
      connect('b', { clientId: '~same' }),
      expect('a', { cmd: 'disconnect', reasonCode: 0x8e }),
      closed('a'),
      expect('watch', { cmd: 'publish', payload: 'x' }),
      subscribe('b', '~/t'),
      connect('c', { clientId: '~same', clean: false }),
      expect('b', { cmd: 'disconnect', reasonCode: 0x8e }),
      closed('b'),
      subscribe('c', '~/t'),
    ],
  },
  {
    clause: ['MQTT-3.1.4-3', 'MQTT-3.1.4-1', 'MQTT-3.1.4-2'],
    title: 'a CONNECT that is refused does not close the connection of the client it claims to be',
    steps: [
      connect('a'),
      refusesConnect(MALFORMED, connectBytes({ flags: CLEAN | 1 }, utf8('~a'))),
      refusesConnect(PROTOCOL_ERROR, connectBytes({ properties: ['21 00 00'] }, utf8('~a'))),
      open('b'),
      send('b', { cmd: 'connect', clientId: '~a', properties: UNKNOWN_METHOD }),
      closed('b', { maybe: { cmd: 'connack', reasonCode: oneOf(0x8c, 0x87) } }),
      subscribe('a', '~/t'),
    ],
  },
]
