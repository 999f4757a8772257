/** The rooms, topics and clients of the made-up household of `page-fixtures.ts`. */
import type { ClientState, Room, TopicState } from '../../src/dashboard/api.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A day of something that swings about `middle`, evenly in `points`. */
export function swing(middle: number, by: number, points: number, phase = 0): number[] {
  return Array.from({ length: points }, (_, index) => {
    const turn = (index / points) * 2 * Math.PI + phase
    return middle + by * Math.sin(turn) + by * 0.2 * Math.sin(turn * 7) + by * 0.1 * Math.sin(turn * 23)
  })
}

export const hole = (points: readonly number[]): (number | null)[] =>
  points.map((point, index) => (index > points.length * 0.6 && index < points.length * 0.68 ? null : point))

export function rooms(now: number): Room[] {
  const spark = (middle: number, by: number, phase = 0) => hole(swing(middle, by, 48, phase))
  return [
    {
      name: 'Kitchen',
      things: [
        {
          id: 'kitchen/thermometer',
          name: 'Thermometer',
          topic: '/Home/Kitchen/Thermometer',
          state: 'online',
          since: now - 9 * DAY,
          period: 10 * SECOND,
          values: [
            {
              name: 'temperature',
              value: 21.43,
              at: now - 3 * SECOND,
              unit: '°C',
              deviceClass: 'temperature',
              series: 'kitchen/thermometer/temperature',
              spark: spark(21, 1.6),
            },
            {
              name: 'humidity',
              value: 44.2,
              at: now - 3 * SECOND,
              unit: '%',
              deviceClass: 'humidity',
              series: 'kitchen/thermometer/humidity',
              spark: spark(45, 6, 2),
            },
          ],
        },
        {
          id: 'kitchen/co2',
          name: 'Air',
          topic: '/Home/Kitchen/Air',
          state: 'online',
          since: now - DAY,
          period: 30 * SECOND,
          values: [
            {
              name: '',
              value: 812,
              at: now - 21 * SECOND,
              unit: 'ppm',
              deviceClass: 'carbon_dioxide',
              series: 'kitchen/co2',
              spark: spark(700, 220, 1),
            },
          ],
        },
        {
          id: 'kitchen/lamp',
          name: 'Lamp',
          topic: '/Home/Kitchen/Lamp',
          state: 'online',
          since: now - DAY,
          values: [{ name: '', value: 'on', at: now - 14 * MINUTE }],
          command: { topic: '/Home/Kitchen/Lamp/set', values: ['on', 'off'] },
        },
        {
          id: 'kitchen/door',
          name: 'Back door',
          topic: '/Home/Kitchen/Door',
          state: 'online',
          since: now - DAY,
          values: [{ name: '', value: 'closed', at: now - 3 * HOUR, deviceClass: 'door' }],
        },
      ],
    },
    {
      name: 'Cellar',
      things: [
        {
          id: 'cellar/water',
          name: 'Water meter',
          topic: '/Home/Cellar/Water',
          state: 'offline',
          since: now - 2 * HOUR,
          reason: 'the adapter is not plugged in',
          values: [
            {
              name: '',
              value: 1284.317,
              at: now - 2 * HOUR,
              unit: 'm³',
              deviceClass: 'water',
              series: 'cellar/water',
              spark: swing(1284, 0.01, 48),
            },
          ],
        },
        {
          id: 'cellar/freezer',
          name: 'Freezer',
          topic: '/Home/Cellar/Freezer',
          state: 'online',
          since: now - DAY,
          period: MINUTE,
          values: [
            {
              name: '',
              value: -18.6,
              at: now - 4 * MINUTE,
              unit: '°C',
              deviceClass: 'temperature',
              series: 'cellar/freezer',
              spark: spark(-18.5, 0.7),
            },
          ],
        },
        {
          id: 'cellar/pump',
          name: 'Pump',
          topic: '/Home/Cellar/Pump',
          state: 'starting',
          since: now - 2 * SECOND,
          values: [],
          command: { topic: '/Home/Cellar/Pump/set', values: ['on', 'off'] },
        },
      ],
    },
    {
      name: 'Larder',
      things: [
        {
          id: 'larder/gateway',
          name: 'Gateway',
          topic: '/Home/Larder/Gateway',
          state: 'online',
          since: now - 9 * DAY,
          period: MINUTE,
          values: [
            { name: 'load_1m', value: 0.42, at: now - 40 * SECOND, series: 'larder/load', spark: spark(0.4, 0.2) },
            {
              name: 'cpu_temperature',
              value: 48.3,
              at: now - 40 * SECOND,
              unit: '°C',
              deviceClass: 'temperature',
              series: 'larder/cpu',
              spark: spark(47, 4, 3),
            },
            {
              name: 'memory_available',
              value: 402653184,
              at: now - 40 * SECOND,
              unit: 'B',
              series: 'larder/memory',
              spark: spark(4e8, 3e7),
            },
            { name: 'uptime', value: 9 * 86400, at: now - 40 * SECOND, unit: 's' },
          ],
        },
      ],
    },
  ]
}

export function topics(now: number): TopicState[] {
  const topic = (name: string, payload: string, more: Partial<TopicState> = {}): TopicState => ({
    topic: name,
    payload,
    size: Buffer.byteLength(payload),
    qos: 1,
    retained: true,
    at: now - 3 * SECOND,
    count: 120,
    ...more,
  })
  return [
    topic('/Home/Kitchen/Thermometer', '{"temperature":21.43,"humidity":44.2}'),
    topic('/Home/Kitchen/Thermometer/availability', 'online', { at: now - 9 * DAY, count: 1 }),
    topic('/Home/Kitchen/Air', '812'),
    topic('/Home/Kitchen/Lamp', 'on'),
    topic('/Home/Kitchen/Lamp/set', 'on', { retained: false }),
    topic('/Home/Kitchen/Door', 'closed'),
    topic('/Home/Cellar/Water', '1284.317'),
    topic('/Home/Cellar/Freezer', '-18.6'),
    topic('/Home/Larder/Gateway/load_1m', '0.42', { qos: 0 }),
    topic('/Home/Larder/Gateway/memory_available_bytes', '402653184', { qos: 0 }),
    topic(
      'homeassistant/device/larder_thermometer/config',
      `{"device":{"identifiers":["larder_thermometer"],"name":"Kitchen thermometer"},"origin":{"name":"Larder"}}`,
    ),
    topic('zigbee2mqtt/bridge/state', '{"state":"online"}'),
    topic('zigbee2mqtt/bridge/devices', 'W3siaWVlZSI6', { base64: true, size: 18231, retained: false }),
    topic(
      'zigbee2mqtt/Hall lamp with a long name of its own',
      '{"state":"OFF","brightness":128,"color_temp":370,"linkquality":112}',
      { qos: 0 },
    ),
    topic('shopping/list', 'bread', { retained: false, at: now - 50 * MINUTE, count: 3 }),
  ]
}

/** `count` topics of a large house. */
export function manyTopics(count: number, now: number, round = 0): TopicState[] {
  return Array.from({ length: count }, (_, index) => ({
    topic: `plant/hall${index % 10}/line${Math.floor(index / 10) % 25}/sensor${index}`,
    payload: `{"value":${index + round},"ok":true}`,
    size: 24,
    qos: 0 as const,
    retained: index % 3 === 0,
    at: now,
    count: round + 1,
  }))
}

export function clients(now: number): ClientState[] {
  const client = (id: string, more: Partial<ClientState> = {}): ClientState => ({
    id,
    connected: true,
    since: now - 9 * DAY,
    listener: 'mqtt://0.0.0.0:1883',
    version: '3.1.1',
    keepalive: 60,
    clean: false,
    subscriptions: [],
    waiting: 0,
    waitingBytes: 0,
    received: 0,
    sent: 0,
    ...more,
  })
  return [
    client('home-assistant', {
      user: 'homeassistant',
      address: '192.168.1.20:51234',
      version: '5',
      subscriptions: [
        { filter: '/Home/#', qos: 1 },
        { filter: 'homeassistant/status', qos: 0 },
      ],
      sent: 8.4,
    }),
    client('zigbee2mqtt', { user: 'zigbee', address: '192.168.1.21:40112', received: 2.9, sent: 0.1 }),
    client('phone-of-anna', {
      connected: false,
      since: now - 5 * HOUR,
      user: 'anna',
      subscriptions: [{ filter: 'shopping/#', qos: 1 }],
      waiting: 42,
      waitingBytes: 9120,
      oldest: now - 5 * HOUR,
    }),
    client('kitchen-display-with-a-rather-long-client-identifier', {
      address: '[fe80::1ff:fe23:4567:890a]:33218',
      clean: true,
      since: now - 3 * MINUTE,
      sent: 1,
    }),
    client('mosq-4Hj2k1', { address: '127.0.0.1:60422', clean: true, since: now - 20 * SECOND }),
    client('workshop', { user: 'workshop', address: '192.168.1.33:50011', received: 0.3, version: '3.1' }),
  ]
}
