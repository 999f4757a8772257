/** `scripts/soak`: reads the flags, runs the soak, prints progress, the table and the verdict. Exit status 1: not flat. */
import { parseArgs } from 'node:util'
import { tellSoak } from './report.ts'
import { soak } from './run.ts'
import { LONG_BOUNDS, SHORT_BOUNDS } from './verdict.ts'

/** Seconds between two lines of progress. */
const PROGRESS = 30
/** Minutes from which on a run is long enough for the narrow bounds. */
const LONG = 5

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
if (!(minutes >= 0.5)) usage('--minutes is a number from 0.5 up')
if (!Number.isInteger(seed) || seed < 0) usage('--seed is a whole number')

// Ends as a program that tidies up: see run.ts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

console.log(`${minutes} minutes, seed ${seed}`)
let told = 0
const result = await soak({
  seconds: minutes * 60,
  seed,
  bounds: minutes < LONG ? SHORT_BOUNDS : LONG_BOUNDS,
  onSample({ at, resident, heap, handles, store }, { connections, delivered }) {
    if (at < told + PROGRESS) return
    told = at
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)
    console.log(
      `${at.toFixed(0)} s: ${connections} connections, ${delivered} delivered, ${megabytes(resident)} MB resident, ` +
        `heap ${megabytes(heap)} MB, ${handles} handles, store ${megabytes(store)} MB`,
    )
  },
})
console.log(tellSoak(result))
process.exitCode = result.faults.length === 0 ? 0 : 1

function usage(what: string): never {
  console.error(`soak: ${what}`)
  process.exit(2)
}
