/**
 * `larder sub`: subscribes and prints, with the flags, output and exit status of `mosquitto_sub`. What it needs is loaded when
 * it runs.
 */
import { type Command, exampleLines } from './larder.ts'
import type { Machine } from './mqtt/client.ts'
import { COMMON_HELP } from './mqtt/help.ts'

const HELP: readonly string[] = [
  'larder sub [-h HOST] -t TOPIC [FLAGS]',
  '',
  'subscribe and print what comes, with the flags of mosquitto_sub',
  '',
  '  -t, --topic FILTER        what to subscribe to; may be given several times',
  '  -T, --filter-out FILTER   do not print what matches; may be given several times',
  '  -U, --unsubscribe FILTER  unsubscribe from it, in a session that is kept (-c)',
  '  -q, --qos 0|1|2           0 when not given',
  '  -v, --verbose             print the topic before the payload',
  '  -F FORMAT                 print what FORMAT says; see docs/tools.md',
  '  --pretty                  indent the JSON of %j and %J',
  '  -N                        no line break behind a message',
  '  -w, --watch               each topic on a line of its own, which changes in place',
  '  -C NUMBER                 end after so many messages',
  '  -W SECONDS                end after so long, with exit status 27',
  '  -E                        end when all is subscribed',
  '  -R                        no retained messages',
  '  --retained-only           only retained messages; the first other ends it',
  '  --remove-retained         clear the retained messages that come',
  '  --retain-as-published     keep the flag as the publisher set it (MQTT 5)',
  '  --random-filter PERCENT   print only so many of the messages',
  '',
  ...COMMON_HELP,
]

const STATUSES =
  'Exit status: 0 done, or stopped by a signal; the code of a CONNACK that refused; 27 timed out; 1 anything else.'

const EXAMPLES: Command['examples'] = [
  ["larder sub -t 'home/#' -v", 'everything below home'],
  ['larder sub -t home/hall/door -C 1 -W 60', 'wait a minute for one message'],
  ["larder sub -t 'home/#' -F '%I %t %p'", 'with the time'],
  ["larder sub -t 'old/#' --remove-retained --retained-only -W 2", 'clear retained messages'],
]

export function subCommand({ load }: { load: () => Promise<Machine> }): Command {
  return {
    summary: 'subscribe and print what comes, with the flags of mosquitto_sub',
    examples: EXAMPLES,
    flags: {},
    statuses: STATUSES,
    readsAll: true,
    words: async () => (await import('./mqtt/flags.ts')).flagNames('sub'),
    async run(_flags, io, words) {
      const [{ runClient }, { subscribe }, machine] = await Promise.all([
        import('./mqtt/client.ts'),
        import('./mqtt/subscriber.ts'),
        load(),
      ])
      return runClient(
        { program: 'sub', help: [...HELP, '', ...exampleLines(EXAMPLES), '', STATUSES], work: subscribe },
        words,
        machine,
        io,
      )
    },
  }
}
