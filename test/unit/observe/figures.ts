/** Figures for tests: every number another one, so that none can be taken for another. */
import type { BridgeFigures, Figures } from '../../../src/observe/ports.ts'

const PROBE = {
  values: { '': { unit: '°C', deviceClass: 'temperature' } },
  numbers: { '': 21.5 },
  heardAt: 1_700_000_100_000,
}
const PUMP = { values: {}, numbers: { '': 1 }, heardAt: 1_700_000_200_000 }

export function bridge(changes: Partial<BridgeFigures> = {}): BridgeFigures {
  return {
    name: 'cloud',
    connected: true,
    waiting: 8,
    bytes: 808,
    oldest: 3_000,
    sent: 900,
    received: 901,
    paused: false,
    rateOut: 0.04,
    rateIn: 0,
    dropped: 14,
    thinned: 15,
    expired: 16,
    dead: 0,
    drain: undefined,
    ...changes,
  }
}

export function figures(changes: Partial<Figures> = {}): Figures {
  return {
    version: '1.2.3',
    startedAt: 1_700_000_000_000,
    uptime: 93_784_000,
    traffic: {
      received: 1_001,
      sent: 1_002,
      dropped: 3,
      expired: 4,
      tooLarge: 5,
      denied: 6,
      payloadReceived: 10_001,
      payloadSent: 10_002,
      packetsReceived: 2_001,
      packetsSent: 2_002,
      bytesReceived: 20_001,
      bytesSent: 3_000_000,
      sockets: 31,
      connects: 30,
      expiredSessions: 7,
    },
    clients: { connected: 11, disconnected: 13, most: 17 },
    subscriptions: { plain: 19, shared: 23 },
    connections: { open: 12, unsent: 321, refused: { limit: 41, address: 43 } },
    queues: {
      messages: 50,
      bytes: 5_000,
      oldest: 90_000,
      retained: 60,
      retainedBytes: 6_000,
      dropped: 70,
      expired: 80,
      refused: 90,
    },
    store: {
      commits: 100,
      syncs: 99,
      failures: 1,
      elided: 500,
      bytes: 40_000,
      damaged: 2,
      latency: { bounds: [1, 10], counts: [60, 30], count: 100, sum: 700 },
      lossWindow: 0,
    },
    bridges: [bridge()],
    devices: [
      { room: 'Kitchen', name: 'Probe', state: 'online', counters: { readings: 5, dropped: 0, faults: 1 }, ...PROBE },
      { room: 'Cellar', name: 'Pump', state: 'stale', counters: { readings: 7, dropped: 0, faults: 2 }, ...PUMP },
    ],
    certificates: [
      { of: 'listener', name: 'mqtts://127.0.0.1:8883', expiresAt: 1_800_000_000_000 },
      { of: 'bridge', name: 'cloud', expiresAt: 1_900_000_000_000 },
    ],
    process: {
      startedAt: 1_699_999_999_000,
      heap: 30_000_000,
      external: 5_000_000,
      heapMost: 40_000_000,
      resident: 80_000_000,
      processor: 12_500,
      files: { open: 55, most: 1_024 },
      diskWritten: 2_002_000,
      loop: { median: 0.5, p99: 4, worst: 20 },
    },
    troubles: [],
    ...changes,
  }
}
