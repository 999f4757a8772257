/**
 * What is done to the gateway in the guest, and what must come of it. Each thing that is shown is a line on the console;
 * so is the first that is not as it must be, and then it ends. Runs in the guest.
 */
import { existsSync } from 'node:fs'
import { runOnBoard } from './on-board.ts'
import { runOnSim } from './on-sim.ts'

const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = {
  sim: runOnSim,
  'pl061 onoff': () => runOnBoard('pl061', 'onoff'),
  'pl061 gpiod': () => runOnBoard('pl061', 'gpiod'),
  'bcm2835 onoff': () => runOnBoard('bcm2835', 'onoff'),
  'bcm2835 gpiod': () => runOnBoard('bcm2835', 'gpiod'),
}

const name = existsSync('/scenario') ? process.argv.slice(2).join(' ') : ''
try {
  const scenario = SCENARIOS[name]
  if (scenario === undefined) throw new Error(`there is no scenario "${name}"`)
  await scenario()
  console.log('gpio: passed')
  process.exit(0)
} catch (error) {
  console.log(`gpio: FAULT ${error instanceof Error ? error.stack : error}`)
  process.exit(1)
}
