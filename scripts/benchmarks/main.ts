/** `scripts/bench`: chooses what is measured. */
import { bridgeCommand } from './bridge-command.ts'
import { comparisonCommand } from './comparison-command.ts'
import { countsCommand } from './counts-command.ts'
import { devicesCommand } from './devices-command.ts'
import { metricsCommand } from './metrics-command.ts'
import { readmeCommand } from './readme-command.ts'
import { storeCommand } from './store-command.ts'

// Ends as a program that tidies up: see PinnedBroker.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

const commands: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  store: storeCommand,
  bridge: bridgeCommand,
  counts: countsCommand,
  devices: devicesCommand,
  metrics: metricsCommand,
  readme: readmeCommand,
}
const [first = '', ...rest] = process.argv.slice(2)
const command = commands[first]
try {
  await (command === undefined ? comparisonCommand(process.argv.slice(2)) : command(rest))
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  // Not by exitCode: what failed may have left something running that would keep this process.
  process.exit(1)
}
