/** `larder store compact`: gives the space of what was deleted back to the disk. */
import { GATEWAY_FLAGS } from '../asking.ts'
import { type Command, EXIT_DONE } from '../larder.ts'
import { bytes } from '../words.ts'
import { type StoreDependencies, withStore } from './access.ts'

export function storeCompactCommand(deps: StoreDependencies): Command {
  return {
    summary: 'give the space of deleted messages back to the disk, which the store else does when it comes to it',
    flags: GATEWAY_FLAGS,
    examples: [['larder store compact', 'also while the gateway runs; it writes the whole store anew, once']],
    run: (flags, io) =>
      withStore(flags, io, deps, async (store, isRunning) => {
        const { before, after } = await store.compact()
        const now = isRunning ? ', while the gateway runs' : ''
        io.stdout(`larder: the store took ${bytes(before)} and takes ${bytes(after)}${now}`)
        return EXIT_DONE
      }),
  }
}
