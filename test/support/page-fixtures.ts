/**
 * A household for the web page, made up but typed: what the gateway would tell of it, at `now`. For screenshots, and for
 * states that a real gateway cannot be brought into at will.
 */
import type {
  BridgeView,
  ClientState,
  ConfigFault,
  ConfigView,
  DeadLetterView,
  DeviceView,
  Discovery,
  Finding,
  Health,
  Hello,
  History,
  LogLine,
  Overview,
  Room,
  TopicState,
} from '../../src/dashboard/api.ts'
import { clients, hole, rooms, swing, topics } from './page-house.ts'
import { bridges, CONFIG, DISCOVERY, DOCTOR, devices, FAULTS, health, log } from './page-machine.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export interface Household {
  readonly hello: Hello
  readonly overview: Overview
  readonly home: readonly Room[]
  readonly topics: readonly TopicState[]
  readonly clients: readonly ClientState[]
  readonly bridges: readonly BridgeView[]
  readonly devices: readonly DeviceView[]
  readonly health: Health
  readonly log: readonly LogLine[]
  readonly config: ConfigView
  readonly faults: readonly ConfigFault[]
  readonly discovery: Discovery
  readonly doctor: readonly Finding[]
  readonly dead: readonly DeadLetterView[]
  readonly history: History
}

/** The household when something is wrong in each place where something can be. */
export function troubledHousehold(now: number): Household {
  return {
    hello: {
      name: 'larder.local',
      version: '0.1.0',
      build: 'fixture',
      now,
      startedAt: now - 9 * DAY,
      clockSynced: true,
      firstRun: false,
    },
    overview: {
      troubles: [
        'Cellar: Water meter has been offline for 2 h.',
        'The bridge "cloud" is not connected; 1,204 messages wait.',
      ],
      clients: 5,
      bridges: { all: 3, connected: 1 },
      devices: { all: 9, online: 7 },
      waiting: 1246,
      received: 3.4,
      sent: 11.2,
    },
    home: rooms(now),
    topics: topics(now),
    clients: clients(now),
    bridges: bridges(now),
    devices: devices(now),
    health: health(now),
    log: log(now),
    config: { file: '/etc/larder/larder.yaml', text: CONFIG, changed: true },
    faults: FAULTS,
    discovery: DISCOVERY,
    doctor: DOCTOR,
    dead: [
      {
        topic: '/Home/Kitchen/Thermometer',
        payload: '{"temperature":21.4,"humidity":44}',
        size: 34,
        reason: 'Packet too large (0x95): the other side takes at most 32 bytes.',
      },
    ],
    history: { unit: '°C', start: now - DAY, step: MINUTE, points: hole(swing(21.2, 1.6, 1440)) },
  }
}

/** The same when all is well. */
export function calmHousehold(now: number): Household {
  const household = troubledHousehold(now)
  return {
    ...household,
    overview: {
      ...household.overview,
      troubles: [],
      waiting: 0,
      bridges: { all: 1, connected: 1 },
      devices: { all: 9, online: 9 },
    },
    home: household.home.map(room => ({
      ...room,
      things: room.things.map(({ reason: _, ...thing }) => ({
        ...thing,
        state: 'online' as const,
        values:
          thing.values.length === 0
            ? [{ name: '', value: 'off', at: now - 2 * HOUR }]
            : thing.values.map(value => (value.unit === undefined ? value : { ...value, at: now - 4 * SECOND })),
      })),
    })),
    bridges: household.bridges.slice(0, 1),
    devices: household.devices.map(({ lastFault: _, ...device }) => ({ ...device, state: 'online' as const })),
    health: { ...household.health, troubles: [], dropped: {} },
    doctor: household.doctor.map(finding => ({ check: finding.check, state: 'ok', cause: 'as it should be' })),
    config: { ...household.config, changed: false },
    faults: [],
  }
}

/** Just unpacked: nothing is configured. */
export function emptyHousehold(now: number): Household {
  const household = calmHousehold(now)
  return {
    ...household,
    hello: { ...household.hello, firstRun: true },
    overview: {
      ...household.overview,
      clients: 0,
      bridges: { all: 0, connected: 0 },
      devices: { all: 1, online: 1 },
    },
    home: household.home.slice(-1),
    topics: [],
    clients: [],
    bridges: [],
    devices: [],
    log: [],
    config: { text: '# what is built in\nlisteners:\n  - mqtt://127.0.0.1:1883\n', changed: false },
    discovery: { ...DISCOVERY, ports: DISCOVERY.ports.map(port => ({ ...port, used: false })) },
  }
}

export function brokenHello(now: number): Hello {
  return { ...troubledHousehold(now).hello, broken: FAULTS }
}
