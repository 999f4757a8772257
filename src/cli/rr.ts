/**
 * `larder rr`: asks and prints the answer, with the flags, output and exit status of `mosquitto_rr`. What it needs is loaded when
 * it runs.
 */
import { type Command, exampleLines } from './larder.ts'
import type { Machine } from './mqtt/client.ts'
import { COMMON_HELP } from './mqtt/help.ts'

const HELP: readonly string[] = [
  'larder rr [-h HOST] -t TOPIC -e TOPIC {-m TEXT | -f FILE | -n | -s} [FLAGS]',
  '',
  'publish a request and print the first answer, with the flags of mosquitto_rr',
  '',
  '  -t, --topic TOPIC       where to ask',
  '  -e TOPIC                where the answer is to come; with MQTT 5 the request says so',
  '  -m, --message TEXT      the payload',
  '  -f, --file FILE         the payload is what is in FILE',
  '  -s, --stdin-file        the payload is all of the input',
  '  -n, --null-message      an empty payload',
  '  -q, --qos 0|1|2         of the request and of the subscription; 0 when not given',
  '  -W SECONDS              wait no longer, with exit status 27',
  '  -R                      a retained message is no answer',
  '  -v, --verbose           print the topic before the payload',
  '  -F FORMAT               print what FORMAT says; see docs/tools.md',
  '  --pretty                indent the JSON of %j and %J',
  '  -N                      no line break behind the answer',
  '',
  ...COMMON_HELP.map(line => line.replace('5, 311 (when not given) or 31', '5 (when not given), 311 or 31')),
]

const STATUSES =
  'Exit status: 0 an answer came; the code of a CONNACK that refused; 7 the connection was lost; 27 timed out; 1 anything else.'

const EXAMPLES: Command['examples'] = [
  ['larder rr -t home/boiler/get -e home/boiler/answer -m temperature -W 5', 'ask, and wait 5 s'],
  ["larder rr -t home/boiler/get -e home/me -n -F '%D %p'", 'with the correlation data of the answer'],
]

export function rrCommand({ load }: { load: () => Promise<Machine> }): Command {
  return {
    summary: 'publish a request and print the answer, with the flags of mosquitto_rr',
    examples: EXAMPLES,
    flags: {},
    statuses: STATUSES,
    readsAll: true,
    words: async () => (await import('./mqtt/flags.ts')).flagNames('rr'),
    async run(_flags, io, words) {
      const [{ runClient }, { request }, machine] = await Promise.all([
        import('./mqtt/client.ts'),
        import('./mqtt/requester.ts'),
        load(),
      ])
      return runClient(
        { program: 'rr', help: [...HELP, '', ...exampleLines(EXAMPLES), '', STATUSES], work: request },
        words,
        machine,
        io,
      )
    },
  }
}
