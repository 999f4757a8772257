/**
 * `scripts/test gpio`: the built gateway on pins of real kernels, in guests under QEMU.
 *
 *   A  simulated chips on a PC: everything that the drivers do, in detail
 *   B  the chip of QEMU's `virt` machine on arm64: an edge from outside
 *   C  the chip of a Raspberry Pi 3, emulated, on arm64
 *
 * Prints a line for each thing shown. A recipe for which something is missing is skipped, and says why. What is fetched
 * and built is kept under node_modules/.cache.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RECIPES } from './recipes.ts'

const chosen = process.argv.slice(2)
let failed = 0
for (const { name, what, missing, run } of RECIPES) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  const began = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'larder-gpio-'))
  try {
    const reason = await missing(folder)
    if (reason !== undefined) {
      console.log(`${name} skipped: ${what}, because ${reason}`)
      continue
    }
    const isPassed = await run(folder, line => console.log(`${name} ${line}`))
    const took = ((performance.now() - began) / 1000).toFixed(0)
    console.log(`${name} ${isPassed ? 'passed' : 'FAILED'}: ${what} (${took} s)`)
    if (!isPassed) failed++
  } catch (error) {
    failed++
    console.log(`${name} FAILED: ${what}`)
    console.error(error)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
process.exitCode = failed === 0 ? 0 : 1
