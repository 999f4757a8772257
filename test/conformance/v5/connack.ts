/** MQTT 5, §3.2 CONNACK: session present, what the server announces and has to keep, and what CONNECT asks of its answers. */
import { closed, connect, disconnect, expect, id, nothing, open, type Row, send, subscribe } from '../rig/format.ts'
import { isFailure, isTaken, lacks, NEVER, rejects } from './bytes.ts'

/** A property that says whether something can be had: absent or 1 means yes. */
const available = (value: unknown): boolean => value === undefined || value === true
const UNKNOWN_METHOD = { authenticationMethod: 'NOBODY-HAS-THIS' }
const KEPT = { clean: false, properties: { sessionExpiryInterval: 60 } }

export const CONNACK: readonly Row[] = [
  {
    clause: ['MQTT-3.2.2-1', 'MQTT-3.2.2-2', 'MQTT-3.2.2-3', 'MQTT-3.1.4-4', 'MQTT-3.1.4-5'],
    title: 'session present says whether the session goes on, with clean start never',
    steps: [
      connect('a', { clean: true, properties: { sessionExpiryInterval: 60 } }, { sessionPresent: false }),
      disconnect('a'),
      connect('a', KEPT, { sessionPresent: true }),
      disconnect('a'),
      connect('a', { clean: true, properties: { sessionExpiryInterval: 60 } }, { sessionPresent: false }),
      disconnect('a'),
      connect('a', { clean: false }, { sessionPresent: true }),
      disconnect('a'),
      connect('a', { clean: false }, { sessionPresent: false }),
    ],
  },
  {
    clause: ['MQTT-3.2.2-6', 'MQTT-3.2.2-7', 'MQTT-3.2.2-8', 'MQTT-4.13.2-1'],
    title: 'a refusal has session present 0 although there is a session, which it does not touch',
    steps: [
      connect('a', KEPT, { sessionPresent: false }),
      subscribe('a', ['~/t', 1]),
      disconnect('a'),
      rejects('b', { clientId: '~a', clean: false, properties: UNKNOWN_METHOD }, 0x8c, 0x87),
      rejects('c', { clientId: '~a', clean: true, properties: UNKNOWN_METHOD }, 0x8c, 0x87),
      connect('a', KEPT, { sessionPresent: true }),
      send('a', { cmd: 'publish', topic: '~/t', payload: 'x', qos: 1, messageId: 1 }),
      expect('a', { cmd: 'puback', messageId: 1 }),
      expect('a', { cmd: 'publish', payload: 'x', qos: 1 }),
    ],
  },
  {
    clause: ['MQTT-3.2.2-9', 'MQTT-3.2.2-10', 'MQTT-3.2.2-11', 'PE-3.2.2.3.4-2'],
    title: 'a server that announces no Maximum QoS takes and gives every QoS',
    steps: [
      connect('a', {}, { properties: lacks('maximumQoS') }),
      subscribe('a', ['~/0', 0], ['~/1', 1], ['~/2', 2]),
      send('a', { cmd: 'publish', topic: '~/2', payload: 'x', qos: 1, messageId: 1 }),
      expect('a', { cmd: 'puback', messageId: 1, reasonCode: 0 }),
      expect('a', { cmd: 'publish', payload: 'x', qos: 1 }),
      send('a', { cmd: 'publish', topic: '~/2', payload: 'y', qos: 2, messageId: 2 }),
      expect('a', { cmd: 'pubrec', messageId: 2, reasonCode: 0 }),
      send('a', { cmd: 'pubrel', messageId: 2, reasonCode: 0 }),
      expect('a', { cmd: 'pubcomp', messageId: 2, reasonCode: 0 }),
      expect('a', { cmd: 'publish', payload: 'y', qos: 2 }),
    ],
  },
  {
    clause: ['MQTT-3.2.2-12'],
    title: 'a server that announces no Maximum QoS takes wills of every QoS',
    steps: [0, 1, 2].map(qos =>
      connect(`a${qos}`, { will: { topic: '~/will', qos } }, { properties: lacks('maximumQoS') }),
    ),
  },
  {
    clause: ['MQTT-3.2.2-13', 'MQTT-3.2.2-14', 'PE-3.2.2.3.5-2'],
    title: 'a server that has retained messages takes them, in wills too',
    steps: [
      connect(
        'a',
        { will: { topic: '~/will', retain: true } },
        {
          properties: (value: unknown) =>
            lacks('retainAvailable')(value) || (value as { retainAvailable: boolean }).retainAvailable,
        },
      ),
      send('a', { cmd: 'publish', topic: '~/t', payload: 'x', retain: true, qos: 1, messageId: 1 }),
      expect('a', { cmd: 'puback', messageId: 1, reasonCode: isTaken }),
      subscribe('a', '~/t'),
      expect('a', { cmd: 'publish', payload: 'x', retain: true }),
    ],
  },
  {
    clause: ['PE-3.2.2.3.11-2', 'PE-3.2.2.3.12-2', 'PE-3.2.2.3.13-2'],
    title: 'wildcards, Subscription Identifiers and shared subscriptions can be had unless the server says no',
    steps: [
      connect(
        'a',
        {},
        {
          properties: (value: unknown) =>
            ['wildcardSubscriptionAvailable', 'subscriptionIdentifiersAvailable', 'sharedSubscriptionAvailable'].every(
              name => available((value as Record<string, unknown> | undefined)?.[name]),
            ),
        },
      ),
      send('a', {
        cmd: 'subscribe',
        messageId: 1,
        properties: { subscriptionIdentifier: 7 },
        subscriptions: [
          { topic: '~/+', qos: 0 },
          { topic: '~/a/#', qos: 1 },
          { topic: '$share/g/~/b', qos: 2 },
        ],
      }),
      expect('a', { cmd: 'suback', messageId: 1, granted: [0, 1, 2] }),
    ],
  },
  {
    clause: [
      'PE-3.2.2.3.2-1',
      'PE-3.2.2.3.3-1',
      'PE-3.2.2.3.4-1',
      'PE-3.2.2.3.5-1',
      'PE-3.2.2.3.6-1',
      'PE-3.2.2.3.7-1',
      'PE-3.2.2.3.8-1',
      'PE-3.2.2.3.11-1',
      'PE-3.2.2.3.12-1',
      'PE-3.2.2.3.13-1',
      'PE-3.2.2.3.14-1',
      'PE-3.2.2.3.15-1',
    ],
    title: 'a CONNACK that has much to say says each thing once, and in range',
    broker: {
      bystander: false,
      larder: 'limits:\n  max_keepalive: 10s\n  max_packet_size: 2KiB\n  max_inflight: 7\n',
      mosquitto: ['max_keepalive 10', 'max_packet_size 2048', 'max_inflight_messages 7'],
    },
    // That nothing is there twice or out of range is what `strict.ts` looks at in every packet.
    steps: [
      connect(
        'a',
        {
          clientId: '',
          properties: { sessionExpiryInterval: NEVER, requestResponseInformation: true, topicAliasMaximum: 5 },
        },
        { properties: { assignedClientIdentifier: id('a'), serverKeepAlive: 10, maximumPacketSize: 2048 } },
      ),
    ],
  },
  {
    clause: ['PE-3.2.2.3.9-1', 'MQTT-3.2.2-8'],
    title: 'a refusal has one reason string at most',
    steps: rejects('a', { properties: UNKNOWN_METHOD }, 0x8c, 0x87),
  },
  {
    clause: ['MQTT-3.2.2-19', 'MQTT-3.2.2-20', 'MQTT-3.1.2-24'],
    title: 'a CONNACK has no reason string and no user property that would make it too large for the client',
    steps: [5, 8, 12, 16, 24, 40, 80].flatMap(maximumPacketSize => [
      open('a'),
      send('a', { cmd: 'connect', properties: { ...UNKNOWN_METHOD, maximumPacketSize } }),
      closed('a', { maybe: { cmd: 'connack', reasonCode: isFailure } }),
    ]),
  },
  {
    clause: ['MQTT-3.1.2-28', 'PE-3.2.2.3.15-1'],
    title: 'response information comes only when it is asked for',
    steps: [
      connect('a', {}, { properties: lacks('responseInformation') }),
      connect('b', { properties: { requestResponseInformation: false } }, { properties: lacks('responseInformation') }),
      connect('c', { properties: { requestResponseInformation: true } }),
      nothing('c'),
    ],
  },
  {
    clause: ['PE-3.2.2.3.17-1', 'PE-3.2.2.3.18-1', 'MQTT-4.12.0-6'],
    title: 'a CONNACK has no authentication method or data for a client that has none',
    steps: [
      connect(
        'a',
        {},
        { properties: (value: unknown) => lacks('authenticationMethod')(value) && lacks('authenticationData')(value) },
      ),
    ],
  },
  { clause: ['MQTT-3.2.2-4', 'MQTT-3.2.2-5'], notObservable: 'they bind the client alone' },
  { clause: ['PE-3.2.2.3.16-1'], notObservable: 'the gateway knows of no other server to send clients to' },
]
