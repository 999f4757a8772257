/** The bridges, devices and state of health of the made-up household of `page-fixtures.ts`. */
import type {
  BridgeView,
  ConfigFault,
  DeviceView,
  Discovery,
  Finding,
  Health,
  LogLine,
} from '../../src/dashboard/api.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export function bridges(now: number): BridgeView[] {
  return [
    {
      name: 'garden',
      address: 'mqtt://garden.local:1883',
      state: 'connected',
      since: now - 2 * HOUR,
      waiting: 3120,
      waitingBytes: 402_000,
      oldest: now - 6 * HOUR,
      rateOut: 48.2,
      rateIn: 0.4,
      sent: 88_412,
      received: 1204,
      dead: 0,
      drain: { done: 5880, of: 9000, endsAt: now + 65 * SECOND },
    },
    {
      name: 'cloud',
      address: 'mqtts://broker.example.com:8883',
      state: 'waiting',
      since: now - 14 * MINUTE,
      waiting: 1204,
      waitingBytes: 154_112,
      oldest: now - 14 * MINUTE,
      rateOut: 0,
      rateIn: 0,
      sent: 120_933,
      received: 214,
      dead: 1,
      lastError: 'broker.example.com:8883 does not answer (connection refused)',
    },
    {
      name: 'office',
      address: 'mqtts://office.example.com:8883',
      state: 'paused',
      since: now - DAY,
      waiting: 12,
      rateOut: 0,
      rateIn: 0,
      sent: 903,
      received: 0,
      dead: 0,
    },
  ]
}

export function devices(now: number): DeviceView[] {
  const device = (id: string, name: string, room: string, more: Partial<DeviceView> = {}): DeviceView => ({
    id,
    name,
    room,
    kind: 'serial',
    topic: `/Home/${room}/${name.replaceAll(' ', '')}`,
    state: 'online',
    since: now - 9 * DAY,
    readings: 77_760,
    faults: 0,
    commands: 0,
    ...more,
  })
  return [
    device('kitchen/thermometer', 'Thermometer', 'Kitchen', {
      place: '/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A5069RR4-if00-port0',
      lastFrame: { at: now - 3 * SECOND, text: 'T=21.43;H=44.2\\r\\n' },
    }),
    device('kitchen/co2', 'Air', 'Kitchen', {
      place: '/dev/ttyAMA0',
      faults: 3,
      lastFrame: { at: now - 21 * SECOND, text: '\\xff\\x86\\x03\\x2c\\x43\\x00\\x00\\x00\\x08' },
      lastFault: { at: now - 8 * HOUR, reason: 'the checksum of a frame was wrong' },
    }),
    device('kitchen/lamp', 'Lamp', 'Kitchen', { kind: 'gpio', place: 'pin 17', readings: 212, commands: 208 }),
    device('cellar/water', 'Water meter', 'Cellar', {
      state: 'offline',
      since: now - 2 * HOUR,
      place: '/dev/serial/by-id/usb-Prolific_PL2303-if00-port0',
      faults: 12,
      lastFault: { at: now - 2 * HOUR, reason: 'the adapter is not plugged in' },
    }),
    device('cellar/freezer', 'Freezer', 'Cellar', {
      kind: 'file',
      place: '/sys/bus/w1/devices/28-0316a279f1ff/temperature',
      state: 'stale',
      since: now - 4 * MINUTE,
    }),
    device('larder/gateway', 'Gateway', 'Larder', { kind: 'system', place: 'this machine' }),
  ]
}

export function health(now: number): Health {
  return {
    troubles: [
      'Cellar: Water meter has been offline for 2 h.',
      'The certificate of mqtts://0.0.0.0:8883 expires in 9 days.',
    ],
    store: {
      kind: 'leveldb',
      state: 'ok',
      messages: 1246,
      bytes: 163_232,
      retained: 214,
      oldest: now - 6 * HOUR,
      lossWindow: 0,
      commits: 18_233,
      commitMedian: 4.2,
      elided: 1_204_551,
      written: 61_204_112,
      writtenPerMessage: 47,
      failures: 0,
      damaged: 0,
    },
    disk: { path: '/var/lib/larder', free: 22_400_000_000, size: 31_200_000_000 },
    certificates: [
      { of: 'listener', name: 'mqtts://0.0.0.0:8883', expiresAt: now + 9 * DAY },
      { of: 'bridge', name: 'cloud', expiresAt: now + 212 * DAY },
    ],
    listeners: [
      { address: 'mqtt://0.0.0.0:1883', open: true },
      { address: 'mqtts://0.0.0.0:8883', open: true },
      { address: 'ws://0.0.0.0:9001/mqtt', open: false },
    ],
    process: { resident: 71_300_000, heap: 28_100_000, processor: 0.04, loopDelay: 1.2, uptime: 9 * DAY },
    dropped: { 'queue full': 12, 'not authorized': 3 },
  }
}

export function log(now: number): LogLine[] {
  const line = (seconds: number, level: LogLine['level'], text: string): LogLine => ({
    at: now - seconds * SECOND,
    level,
    text,
  })
  return [
    line(900, 'info', 'home-assistant connected from 192.168.1.20, MQTT 5'),
    line(840, 'warn', 'bridge cloud: broker.example.com:8883 does not answer (connection refused); next try in 12 s'),
    line(600, 'debug', 'committed 14 records in 3.9 ms'),
    line(420, 'info', 'Cellar/Freezer: no reading for 4 min'),
    line(300, 'error', 'Cellar/Water meter: /dev/serial/by-id/usb-Prolific_PL2303-if00-port0 is gone'),
    line(60, 'info', 'kitchen-display connected from fe80::1ff:fe23:4567:890a, MQTT 3.1.1'),
    line(20, 'info', 'mosq-4Hj2k1 connected from 127.0.0.1, MQTT 3.1.1'),
  ]
}

export const CONFIG = `name: larder.local
listeners:
  - mqtt://0.0.0.0:1883
  - url: mqtts://0.0.0.0:8883
    tls: { cert: /etc/larder/cert.pem, key: /etc/larder/key.pem }
access:
  password_file: /etc/larder/users
devices:
  - name: Thermometer
    room: Kitchen
    serial: { path: /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A5069RR4-if00-port0, baud: 9600 }
bridges:
  - name: cloud
    url: mqtts://broker.example.com:8883
    username: home
    password: ••••••••
    out: [{ filter: "/Home/#", remote_prefix: villa }]
`

export const FAULTS: ConfigFault[] = [
  { place: 'larder.yaml:12:30', message: 'devices[0].serial.buad: unknown key', hint: "did you mean 'baud'?" },
  { place: 'larder.yaml:15:10', message: 'bridges[0].url: mqttt:// is not known', hint: 'use mqtt:// or mqtts://' },
]

export const DISCOVERY: Discovery = {
  ports: [
    {
      what: '/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A5069RR4-if00-port0',
      config: 'serial: { path: /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A5069RR4-if00-port0 }',
      used: true,
    },
  ],
  sensors: [
    {
      what: '1-Wire thermometer 28-0316a279f1ff',
      config: 'file: { path: /sys/bus/w1/devices/28-0316a279f1ff/temperature, scale: 0.001 }',
      used: false,
    },
  ],
  chips: [
    {
      what: 'gpiochip0 (pinctrl-bcm2711), 58 pins',
      config: 'gpio: { pin: 17, direction: out }',
      used: false,
    },
  ],
}

export const DOCTOR: Finding[] = [
  { check: 'configuration', state: 'ok', cause: 'valid' },
  {
    check: 'listeners',
    state: 'warn',
    cause: 'ws://0.0.0.0:9001/mqtt is not open: the port is in use',
    mend: 'Choose another port under listeners, or stop the program that has it (ss -ltnp).',
  },
  { check: 'power', state: 'ok', cause: 'no under-voltage since the start' },
  { check: 'disk', state: 'ok', cause: '22 GB free, a sync takes 4 ms' },
  { check: 'clock', state: 'ok', cause: 'synced' },
  {
    check: 'serial ports',
    state: 'fail',
    cause: '/dev/serial/by-id/usb-Prolific_PL2303-if00-port0 is not there',
    mend: 'Plug the adapter in, or take its device out of the configuration.',
  },
  {
    check: 'bridge cloud',
    state: 'fail',
    cause: 'broker.example.com:8883 refuses the connection',
    mend: 'Is the broker running, and the port right?',
  },
]
