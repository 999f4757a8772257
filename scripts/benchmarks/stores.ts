/**
 * The brokers that `scripts/bench store` compares, each on core 0 with a data folder of its own on a real disk. Every
 * measurement has a fresh one. None has a limit on what may wait: only that is asked for which makes a million messages fit.
 */
import { join } from 'node:path'
import { ROOT } from '../../test/support/gateway.ts'
import { findBinary } from '../../test/support/needs.ts'
import { type BrokerPlan, writeLines } from './pinned-broker.ts'

export interface Contestant extends BrokerPlan {
  /** What it promises about a message that it has acknowledged. */
  readonly about: string
  /** Whether its queues are there after an orderly restart. */
  readonly survivesRestart: boolean
  /** False for one that is too slow to be given a million messages, or has nothing new to tell about them. */
  readonly takesMany: boolean
}

/** All that are installed. */
export function contestants(): Contestant[] {
  const mosquitto = findBinary('mosquitto')
  return [larder, ...(mosquitto === undefined ? [] : mosquittos(mosquitto)), aedes]
}

const larder: Contestant = {
  name: 'larder',
  about: 'acknowledged means on the disk (durability: ack)',
  survivesRestart: true,
  takesMany: true,
  async prepare(port, folder) {
    const limits = 'max_queued_messages: 100000000, max_queued_bytes: 64GiB, max_total_bytes: 64GiB'
    const lines = [
      `listeners: ['mqtt://127.0.0.1:${port}']`,
      `data_dir: '${folder}/data'`,
      'store: { durability: ack }',
      `limits: { ${limits}, max_total_messages: 100000000 }`,
      'log: { level: warn }',
    ]
    return [
      process.execPath,
      join(ROOT, 'dist/larder.js'),
      'start',
      '-c',
      await writeLines(folder, 'larder.yaml', lines),
    ]
  },
}

const aedes: Contestant = {
  name: 'aedes-level',
  about: 'stock aedes and aedes-persistence-level: acknowledged before it is stored, never synced',
  survivesRestart: true,
  takesMany: true,
  prepare: async (port, folder) => [
    process.execPath,
    join(ROOT, 'scripts/benchmarks/aedes-server.mjs'),
    String(port),
    `${folder}/data`,
  ],
}

function mosquittos(binary: string): Contestant[] {
  const kinds = [
    { name: 'mosquitto-ram', about: 'persistence false', takesMany: true, lines: ['persistence false'] },
    {
      // As Debian ships it, a publisher with few in flight waits 40 ms for acknowledgements that Nagle holds back.
      name: 'mosquitto-nodelay',
      about: 'persistence false, set_tcp_nodelay true',
      takesMany: false,
      lines: ['persistence false', 'set_tcp_nodelay true'],
    },
    {
      name: 'mosquitto-saved',
      about: 'persistence true: saved every 30 minutes, and at the stop',
      takesMany: true,
      lines: ['persistence true'],
    },
    {
      name: 'mosquitto-each',
      about: 'autosave_on_changes true, autosave_interval 1: the whole database is saved after every message',
      takesMany: false,
      lines: ['persistence true', 'autosave_on_changes true', 'autosave_interval 1'],
    },
  ]
  return kinds.map(({ name, about, takesMany, lines }) => ({
    name,
    about,
    survivesRestart: !lines.includes('persistence false'),
    takesMany,
    async prepare(port, folder) {
      const all = [
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        'log_dest none',
        'user root',
        'max_queued_messages 0',
        `persistence_location ${folder}/`,
        ...lines,
      ]
      return [binary, '-c', await writeLines(folder, 'mosquitto.conf', all)]
    },
  }))
}
