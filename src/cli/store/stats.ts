/** `larder store stats`: how much is in the store, and how much of the disk it takes. */
import { GATEWAY_FLAGS } from '../asking.ts'
import { type Command, EXIT_DONE } from '../larder.ts'
import { bytes, count, span } from '../words.ts'
import { type StoreDependencies, type StoreStatistics, withStore } from './access.ts'

export function storeStatsCommand(deps: StoreDependencies): Command {
  return {
    summary: 'show how much is in the store, and what it takes of the disk',
    flags: { ...GATEWAY_FLAGS, json: { type: 'boolean', help: 'as one line of JSON' } },
    examples: [
      ['larder store stats', 'of the configuration ./larder.yaml, whether its gateway runs or not'],
      ['larder store stats --data-dir /var/lib/larder --json', 'for a program'],
    ],
    run: (flags, io) =>
      withStore(flags, io, deps, async store => {
        const statistics = await store.statistics()
        for (const line of flags.json === true ? [JSON.stringify(statistics)] : lines(statistics)) io.stdout(line)
        return EXIT_DONE
      }),
  }
}

function lines(statistics: StoreStatistics): string[] {
  const { location, sessions, subscriptions, waiting, retained, wills, packetIdentifiers, files, levels } = statistics
  const oldest = waiting.oldest === undefined ? '' : `; the oldest for ${span(waiting.oldest * 1000)}`
  const rows: [string, string][] = [
    ['store', location],
    ['sessions', `${count(sessions)}, with ${count(subscriptions)} subscriptions`],
    ['waiting', `${count(waiting.messages)} messages, ${bytes(waiting.bytes)}${oldest}`],
    ['retained', `${count(retained.messages)} messages, ${bytes(retained.bytes)}`],
    ['wills', count(wills)],
    ['QoS 2', `${count(packetIdentifiers)} packet identifiers between PUBLISH and PUBREL`],
    ['on the disk', `${bytes(files.bytes)} in ${count(files.count)} files`],
    ...levels.map(({ level, files: tables, bytes: size }): [string, string] => [
      `  level ${level}`,
      `${bytes(size)} in ${count(tables)} tables`,
    ]),
  ]
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, text]) => `${label.padEnd(width)}  ${text}`)
}
