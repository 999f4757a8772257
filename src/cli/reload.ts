/** `larder reload`: has the running gateway read its configuration again, and says what came of it. */
import type { LoadOptions } from '../config/load.ts'
import { ask, GATEWAY_FLAGS } from './asking.ts'
import type { Command } from './larder.ts'

export function reloadCommand(options: Pick<LoadOptions, 'checks'>): Command {
  return {
    summary: 'have the running gateway take up its changed configuration',
    examples: [['larder reload', 'whole or not at all; what is wrong is said here']],
    flags: GATEWAY_FLAGS,
    run: (flags, io) => ask({ command: 'reload' }, flags, io, options),
  }
}
