/** `larder status`: how the running gateway is doing. */
import type { LoadOptions } from '../config/load.ts'
import { ask, GATEWAY_FLAGS } from './asking.ts'
import type { Command } from './larder.ts'

export function statusCommand(options: Pick<LoadOptions, 'checks'>): Command {
  return {
    summary: 'show how the running gateway is doing',
    examples: [
      ['larder status', 'one screen'],
      ['larder status --json --data-dir /var/lib/larder', 'everything, for a program'],
    ],
    flags: { ...GATEWAY_FLAGS, json: { type: 'boolean', help: 'everything, as one line of JSON' } },
    run: (flags, io) => ask({ command: 'status', form: flags.json === true ? 'json' : 'text' }, flags, io, options),
  }
}
