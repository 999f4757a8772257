/** MQTT 3.1.1, §3.3.1.3: retained messages. */
import {
  connect,
  disconnect,
  expect,
  nothing,
  publish,
  type Row,
  restart,
  subscribe,
  unordered,
} from '../rig/format.ts'

/** A message that was kept for `topic`. */
const kept = (topic: string, payload: string) => ({ cmd: 'publish', topic, payload, retain: true, dup: false })

export const RETAINED: readonly Row[] = [
  {
    clause: ['MQTT-3.3.1-5', 'MQTT-3.3.1-8', 'MQTT-3.8.4-6'],
    title: 'a retained message is kept with its QoS, and comes to a new subscription with RETAIN 1',
    steps: [
      ...[0, 1, 2].map(qos => publish({ topic: `~/t${qos}`, payload: 'x', qos: qos as 0 | 1 | 2, retain: true })),
      ...[0, 1, 2].flatMap(granted => [
        connect(`s${granted}`),
        ...[0, 1, 2].flatMap(qos => [
          subscribe(`s${granted}`, [`~/t${qos}`, granted as 0 | 1 | 2]),
          expect(`s${granted}`, {
            cmd: 'publish',
            topic: `~/t${qos}`,
            payload: 'x',
            qos: Math.min(qos, granted),
            retain: true,
            dup: false,
          }),
        ]),
      ]),
    ],
  },
  {
    clause: ['MQTT-3.3.1-6', 'MQTT-3.3.1-5'],
    title: 'a new subscription gets the last retained message of each topic it matches, and of no other',
    steps: [
      publish({ topic: '~/b', payload: 'old', retain: true }),
      publish({ topic: '~/b', payload: 'new', retain: true }),
      publish({ topic: '~/b/c', payload: 'deep', retain: true }),
      publish({ topic: '~', payload: 'root', retain: true }),
      publish({ topic: '~/', payload: 'empty level', retain: true }),
      connect('one'),
      subscribe('one', '~/b'),
      expect('one', { cmd: 'publish', topic: '~/b', payload: 'new', retain: true }),
      connect('plus'),
      subscribe('plus', '~/+'),
      unordered('plus', kept('~/b', 'new'), kept('~/', 'empty level')),
      connect('hash'),
      subscribe('hash', '~/#'),
      unordered('hash', kept('~/b', 'new'), kept('~/b/c', 'deep'), kept('~', 'root'), kept('~/', 'empty level')),
      connect('none'),
      subscribe('none', '~/b/c/d', '~/b/+/d', '~b'),
    ],
  },
  {
    clause: ['MQTT-3.3.1-7', 'MQTT-3.3.1-5'],
    title: 'a retained QoS 0 message takes the place of an older one of QoS 2',
    steps: [
      publish({ topic: '~/t', payload: 'old', qos: 2, retain: true }),
      publish({ topic: '~/t', payload: 'new', qos: 0, retain: true }),
      connect('a'),
      subscribe('a', ['~/t', 2]),
      expect('a', { cmd: 'publish', payload: 'new', qos: 0, retain: true }),
    ],
  },
  {
    clause: ['MQTT-3.3.1-9'],
    title: 'a subscription that is there already gets it with RETAIN 0',
    steps: [
      connect('a', { acks: true }),
      subscribe('a', ['~/t', 2]),
      ...[0, 1, 2].flatMap(qos => [
        publish({ topic: '~/t', payload: `${qos}`, qos: qos as 0 | 1 | 2, retain: true }),
        expect('a', { cmd: 'publish', payload: `${qos}`, qos, retain: false }),
      ]),
    ],
  },
  {
    clause: ['MQTT-3.3.1-9', 'MQTT-3.1.2-5'],
    title: 'a retained message that waited for a client that was away has RETAIN 0 too, and comes once',
    steps: [
      connect('a', { clean: false }),
      subscribe('a', ['~/t', 1]),
      disconnect('a'),
      publish({ topic: '~/t', payload: 'x', qos: 1, retain: true }),
      connect('a', { clean: false, acks: true }),
      expect('a', { cmd: 'publish', payload: 'x', qos: 1, retain: false }),
      nothing('a'),
    ],
  },
  {
    clause: ['MQTT-3.3.1-10', 'MQTT-3.3.1-11'],
    title: 'an empty retained message is delivered, and takes the kept one away; it is not kept itself',
    steps: [
      connect('a', { acks: true }),
      subscribe('a', ['~/t', 1]),
      publish({ topic: '~/t', payload: 'x', qos: 1, retain: true }),
      expect('a', { cmd: 'publish', payload: 'x' }),
      publish({ topic: '~/t', payload: '', qos: 1, retain: true }),
      expect('a', { cmd: 'publish', payload: '', qos: 1, retain: false }),
      connect('b'),
      subscribe('b', ['~/t', 1]),
      nothing('b'),
      publish({ topic: '~/never', payload: '', retain: true }),
      subscribe('b', '~/#'),
    ],
  },
  {
    clause: ['MQTT-3.3.1-12'],
    title: 'RETAIN 0 neither keeps a message nor takes one away, also when it is empty',
    steps: [
      publish({ topic: '~/t', payload: 'kept', retain: true }),
      publish({ topic: '~/t', payload: 'passing' }),
      publish({ topic: '~/t', payload: '', qos: 1 }),
      publish({ topic: '~/u', payload: 'passing', qos: 2 }),
      connect('a'),
      subscribe('a', '~/#'),
      expect('a', { cmd: 'publish', topic: '~/t', payload: 'kept', retain: true }),
    ],
  },
  ...(['stop', 'kill'] as const).map(
    (how): Row => ({
      clause: ['MQTT-3.3.1-5', 'MQTT-3.3.1-10'],
      title: `retained messages of QoS 1 and 2, and that one was taken away, are known after a restart (${how})`,
      broker: 'own',
      ...(how === 'kill' ? { mosquittoDiffers: 'it writes its database every half hour' } : {}),
      steps: [
        publish({ topic: '~/1', payload: 'one', qos: 1, retain: true }),
        publish({ topic: '~/2', payload: 'old', qos: 2, retain: true }),
        publish({ topic: '~/2', payload: 'two', qos: 2, retain: true }),
        publish({ topic: '~/gone', payload: 'x', qos: 1, retain: true }),
        publish({ topic: '~/gone', payload: '', qos: 1, retain: true }),
        restart(how),
        connect('a'),
        subscribe('a', ['~/#', 2]),
        unordered('a', { ...kept('~/1', 'one'), qos: 1 }, { ...kept('~/2', 'two'), qos: 2 }),
      ],
    }),
  ),
]
