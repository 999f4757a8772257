/** `scripts/bench`: chooses what is measured. */
import { bridgeCommand } from './bridge-command.ts'
import { comparisonCommand } from './comparison-command.ts'
import { devicesCommand } from './devices-command.ts'
import { metricsCommand } from './metrics-command.ts'
import { storeCommand } from './store-command.ts'

// Ends as a program that tidies up: see StoreBroker.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const [first, ...rest] = process.argv.slice(2)
if (first === 'store') await storeCommand(rest)
else if (first === 'bridge') await bridgeCommand(rest)
else if (first === 'devices') await devicesCommand(rest)
else if (first === 'metrics') await metricsCommand(rest)
else await comparisonCommand(process.argv.slice(2))
