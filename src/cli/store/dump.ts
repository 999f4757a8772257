/** `larder store dump`: what is in the store, one JSON object a line. */

import { topicFilterFault } from '../../mqtt/topics.ts'
import { GATEWAY_FLAGS } from '../asking.ts'
import { type Command, EXIT_DONE, EXIT_USAGE } from '../larder.ts'
import { type StoreDependencies, withStore, written } from './access.ts'

export function storeDumpCommand(deps: StoreDependencies): Command {
  return {
    summary: 'print what is in the store: sessions, subscriptions, waiting and retained messages, as JSON lines',
    flags: {
      ...GATEWAY_FLAGS,
      topic: { type: 'string', value: 'FILTER', help: 'only messages on topics that match' },
      client: { type: 'string', value: 'ID', help: 'only what belongs to this client' },
      limit: { type: 'string', value: 'NUMBER', help: 'end after so many lines' },
    },
    examples: [
      ["larder store dump --topic '/Home/Kitchen/#'", 'messages of the kitchen, retained ones and those that wait'],
      [
        'larder store dump --client phone --limit 20',
        'the session of a client, and the first messages that wait for it',
      ],
    ],
    async run(flags, io) {
      const { topic, client, limit } = flags as Record<string, string | undefined>
      const most = limit === undefined ? undefined : Number(limit)
      if (most !== undefined && !(Number.isInteger(most) && most > 0)) {
        io.stderr(`larder: store dump: --limit ${limit} is no number of lines, such as 100`)
        return EXIT_USAGE
      }
      const fault = topic === undefined ? undefined : topicFilterFault(topic, Number.POSITIVE_INFINITY)
      if (fault !== undefined) {
        io.stderr(`larder: store dump: --topic ${topic} is no topic filter: ${fault}`)
        return EXIT_USAGE
      }
      return withStore(flags, io, deps, async store => {
        for await (const line of store.dump({ topic, client, limit: most })) {
          // Whoever reads it has seen enough.
          if (!(await written(deps.streams.stdout, `${line}\n`))) break
        }
        return EXIT_DONE
      })
    },
  }
}
