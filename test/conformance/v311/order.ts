/** MQTT 3.1.1, §4.6 message ordering. */
import {
  connect,
  disconnect,
  drop,
  expect,
  id,
  type Outgoing,
  publish,
  type Row,
  type Steps,
  send,
  subscribe,
} from '../rig/format.ts'

const NUMBERS = Array.from({ length: 20 }, (_, index) => index + 1)
/** `~/t` published with the payloads 1 to 20, in one write. */
const burst = (qos: 0 | 1 | 2): Outgoing =>
  NUMBERS.map(number => ({ cmd: 'publish', topic: '~/t', payload: `${number}`, qos, messageId: number }))

/** Four messages of QoS 2, received in another order than they were sent. */
const pubrelsInOrder: readonly Steps[] = [
  connect('s', { clean: false }),
  subscribe('s', ['~/t', 2]),
  ...['1', '2', '3', '4'].map(payload => publish({ topic: '~/t', payload, qos: 2 })),
  ...['1', '2', '3', '4'].map(name => expect('s', { cmd: 'publish', payload: name, messageId: id(name) })),
  send(
    's',
    ['3', '1', '4', '2'].map(name => ({ cmd: 'pubrec', messageId: id(name) })),
  ),
  ...['3', '1', '4', '2'].map(name => expect('s', { cmd: 'pubrel', messageId: id(name) })),
]

export const ORDER: readonly Row[] = [
  ...([0, 1, 2] as const).map(
    (qos): Row => ({
      clause: ['MQTT-4.6.0-5', 'MQTT-4.6.0-6'],
      title: `QoS ${qos} messages of one publisher to one topic are handed on in the order they came`,
      steps: [
        connect('s', { acks: true }),
        subscribe('s', ['~/t', qos]),
        connect('wild', { acks: true }),
        subscribe('wild', ['~/#', 2]),
        connect('p', { acks: true }),
        send('p', burst(qos)),
        ...NUMBERS.flatMap(number => [
          expect('s', { cmd: 'publish', payload: `${number}`, qos }),
          expect('wild', { cmd: 'publish', payload: `${number}`, qos }),
          ...(qos === 0 ? [] : [expect('p', { cmd: qos === 1 ? 'puback' : 'pubcomp', messageId: number })]),
        ]),
      ],
    }),
  ),
  ...([1, 2] as const).map(
    (qos): Row => ({
      clause: ['MQTT-4.6.0-5', 'MQTT-4.6.0-6', 'MQTT-3.1.2-5'],
      title: `QoS ${qos} messages that waited for a client come in the order they were published, before newer ones`,
      steps: [
        connect('s', { clean: false }),
        subscribe('s', ['~/t', qos]),
        disconnect('s'),
        connect('p', { acks: true }),
        send('p', burst(qos)),
        ...NUMBERS.map(number => expect('p', { cmd: qos === 1 ? 'puback' : 'pubcomp', messageId: number })),
        connect('s', { clean: false, acks: true }),
        publish({ topic: '~/t', payload: '21', qos }),
        ...[...NUMBERS, 21].map(number => expect('s', { cmd: 'publish', payload: `${number}`, qos, dup: false })),
      ],
    }),
  ),
  {
    clause: ['MQTT-4.6.0-6', 'MQTT-4.4.0-1'],
    title: 'what is sent again comes in its first order, before what waits',
    steps: [
      connect('s', { clean: false }),
      subscribe('s', ['~/t', 1]),
      connect('p'),
      send('p', burst(1)),
      ...NUMBERS.map(number => expect('p', { cmd: 'puback', messageId: number })),
      ...NUMBERS.map(number => expect('s', { cmd: 'publish', payload: `${number}`, messageId: id(`${number}`) })),
      send('s', { cmd: 'puback', messageId: id('7') }),
      drop('s'),
      publish({ topic: '~/t', payload: '21', qos: 1 }),
      connect('s', { clean: false, acks: true }),
      ...NUMBERS.filter(number => number !== 7).map(number =>
        expect('s', { cmd: 'publish', payload: `${number}`, dup: true, messageId: id(`${number}`) }),
      ),
      expect('s', { cmd: 'publish', payload: '21', dup: false }),
    ],
  },
  {
    clause: ['MQTT-4.6.0-6'],
    title: 'PUBACKs and PUBRECs go out in the order their messages came, over both QoS and all topics',
    steps: [
      connect('away', { clean: false }),
      subscribe('away', ['~/waits', 2]),
      disconnect('away'),
      connect('p'),
      send(
        'p',
        NUMBERS.map(number => ({
          cmd: 'publish',
          topic: number % 3 === 0 ? '~/waits' : '~/t',
          payload: 'x',
          qos: 1 + (number % 2),
          messageId: number,
        })),
      ),
      ...NUMBERS.map(number =>
        expect('p', `${number % 2 === 0 ? '40' : '50'} 02 00 ${number.toString(16).padStart(2, '0')}`),
      ),
    ],
  },
  {
    clause: ['MQTT-4.6.0-6'],
    title: 'PUBRELs go out in the order the PUBRECs came',
    steps: pubrelsInOrder,
  },
  {
    clause: ['MQTT-4.6.0-6', 'MQTT-4.4.0-1'],
    title: 'PUBRELs that are sent again go out in the order the PUBRECs came',
    mosquittoDiffers: 'it sends them in the order of the messages',
    steps: [
      pubrelsInOrder,
      send('s', { cmd: 'pubcomp', messageId: id('1') }),
      drop('s'),
      connect('s', { clean: false }),
      ...['3', '4', '2'].map(name => expect('s', { cmd: 'pubrel', messageId: id(name) })),
    ],
  },
]
