/** How long a start takes and how much an idle gateway holds. The memory is a promise; the time is told, not judged. */
import { afterEach, expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { residentMemory } from '../support/procfs.ts'
import { until } from '../support/wait.ts'

const STARTS = 5
/** The figures of the project: ms to ready on the development machine, and bytes of an idle gateway. */
const START_GOAL = 700
const MEMORY_GOAL = 75e6
/** Samples of the memory, one every 100 ms: what an idle gateway holds, not what its start left for the collector. */
const SAMPLES = 30

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const leftovers: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of leftovers.splice(0)) await each[Symbol.asyncDispose]()
})

test(`the built bundle is ready soon, and holds less than ${MEMORY_GOAL / 1e6} MB when idle`, async () => {
  // The built-in configuration, as an owner starts it for the first time.
  const gateway = await startGateway()
  leftovers.push(gateway)
  const times: number[] = []
  for (let start = 0; start < STARTS; start++) {
    await gateway.stop()
    const begun = performance.now()
    await gateway.start()
    times.push(performance.now() - begun)
  }
  console.log(
    `start to ready: ${median(times).toFixed(0)} ms (median of ${STARTS}; ${times.map(ms => ms.toFixed(0)).join(', ')}); ` +
      `goal ${START_GOAL} ms`,
  )

  const samples: number[] = []
  await until(async () => samples.push(await residentMemory(gateway.pid)) >= SAMPLES, { what: 'samples', every: 100 })
  const memory = median(samples)
  console.log(
    `resident memory when idle: ${(memory / 1e6).toFixed(1)} MB (peak ${(Math.max(...samples) / 1e6).toFixed(1)} MB); ` +
      `goal ${MEMORY_GOAL / 1e6} MB`,
  )
  expect(memory).toBeLessThan(MEMORY_GOAL)
})
