/**
 * `larder pub`: publishes, with the flags, words and exit status of `mosquitto_pub`. What it needs is loaded when it runs.
 */
import { type Command, exampleLines } from './larder.ts'
import type { Machine } from './mqtt/client.ts'
import { COMMON_HELP } from './mqtt/help.ts'

const HELP: readonly string[] = [
  'larder pub [-h HOST] -t TOPIC {-m TEXT | -f FILE | -l | -n | -s} [FLAGS]',
  '',
  'publish a message, with the flags of mosquitto_pub',
  '',
  '  -t, --topic TOPIC       where to publish',
  '  -m, --message TEXT      the payload',
  '  -f, --file FILE         the payload is what is in FILE',
  '  -s, --stdin-file        the payload is all of the input',
  '  -l, --stdin-line        a message for each line of the input',
  '  -n, --null-message      an empty payload; with -r it clears the retained message',
  '  -r, --retain            the server keeps the message for later subscribers',
  '  -q, --qos 0|1|2         0 when not given',
  '  --repeat NUMBER         publish it so often',
  '  --repeat-delay SECONDS  wait so long between',
  '  -M NUMBER               messages on the way without an acknowledgement, 20 when not given',
  '',
  ...COMMON_HELP,
]

const STATUSES =
  'Exit status: 0 all was taken; the code of a CONNACK that refused; 7 the connection was lost; 1 anything else.'

const EXAMPLES: Command['examples'] = [
  ['larder pub -t home/hall/lamp/set -m on -q 1', 'one message'],
  ['larder pub -t home/note -r -n', 'clear a retained message'],
  ['sensor | larder pub -L mqtt://anna:secret@pi/home/raw -l', 'each line of a program'],
]

export function pubCommand({ load }: { load: () => Promise<Machine> }): Command {
  return {
    summary: 'publish a message, with the flags of mosquitto_pub',
    examples: EXAMPLES,
    flags: {},
    statuses: STATUSES,
    readsAll: true,
    words: async () => (await import('./mqtt/flags.ts')).flagNames('pub'),
    async run(_flags, io, words) {
      const [{ runClient }, { publish }, machine] = await Promise.all([
        import('./mqtt/client.ts'),
        import('./mqtt/publisher.ts'),
        load(),
      ])
      return runClient(
        { program: 'pub', help: [...HELP, '', ...exampleLines(EXAMPLES), '', STATUSES], work: publish },
        words,
        machine,
        io,
      )
    },
  }
}
