/**
 * `scripts/torture plug`: the ledger under a pulled plug. The gateway runs in a guest under QEMU, whose process is
 * killed; the guest boots again on what its disk has. Prints a line for each cut, a table and the verdict; the disk,
 * the diary and the console's last words stay when there is a fault.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildGuest, guestMissing } from './guest/guest.ts'
import { count, Diary, tellOutcome } from './report.ts'
import { runScenario } from './scenario.ts'
import { TORTURE_LIMITS } from './victim.ts'

/** Milliseconds from readiness to a cut, at most: the guest, whose processor is emulated, takes its time. */
const LIVE_UP_TO = 8_000

const { values } = parseArgs({
  options: {
    cuts: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
    durability: { type: 'string', default: 'ack' },
  },
})
const cuts = whole('cuts')
const seed = whole('seed')
const lossWindowMs = lossWindow(values.durability)

const missing = await guestMissing()
if (missing !== undefined) {
  console.log(`skipped: no plug can be pulled here, because ${missing}`)
  process.exit(0)
}

await using guest = await buildGuest(`store: {durability: ${values.durability}}\n${TORTURE_LIMITS}`)
const diary = new Diary(join(guest.folder, 'diary'))
console.log(`${cuts} cuts, durability ${values.durability}, seed ${seed}, images and diary in ${guest.folder}`)
try {
  let before = 0
  let underLoad = 0
  const outcome = await runScenario({
    victim: guest,
    seed,
    kills: cuts,
    tolerance: { lossWindowMs },
    liveUpTo: LIVE_UP_TO + lossWindowMs,
    note: line => diary.note(line),
    onKill: ({ kills, books }) => {
      const { acknowledged } = books
      console.log(
        `cut ${kills}: ${count(acknowledged)} acknowledged, ${count(acknowledged - before)} of them since the last`,
      )
      if (acknowledged > before) underLoad++
      before = acknowledged
    },
  })
  console.log(tellOutcome(outcome))
  console.log(
    `${underLoad} cuts came after acknowledgements; at ${guest.replays} boots the file system replayed its journal.`,
  )
  for (const fault of guest.faults) console.log(`The guest said: ${fault}`)
  process.exitCode = outcome.verdict.faults.length + guest.faults.length === 0 ? 0 : 1
} catch (error) {
  process.exitCode = 1
  console.error(error)
}
if (process.exitCode !== 0) {
  diary.flush()
  await writeFile(join(guest.folder, 'console.log'), guest.log)
  guest.keepFolder()
  console.error(`the disk, the diary and the console's last words are in ${guest.folder}`)
}

/** Milliseconds that the setting may lose. Nothing is forgiven to `none`: it shows what the rig can find. */
function lossWindow(durability: string): number {
  if (durability === 'ack' || durability === 'none') return 0
  const seconds = Number(/^(\d+)s$/.exec(durability)?.[1] ?? Number.NaN)
  if (seconds > 0) return seconds * 1000
  console.error(`torture: --durability is ack, none or an interval such as 5s, not "${durability}"`)
  process.exit(2)
}

function whole(option: 'cuts' | 'seed'): number {
  const value = Number(values[option])
  if (Number.isInteger(value) && value >= 0) return value
  console.error(`torture: --${option} is a whole number, not "${values[option]}"`)
  process.exit(2)
}
