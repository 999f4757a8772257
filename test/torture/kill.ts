/**
 * `scripts/torture kill`: the ledger under SIGKILL, in the long form. Prints progress, a table and the verdict; the
 * diary and the gateway's last words stay when there is a fault.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { folderBytes, residentMemory } from '../support/procfs.ts'
import { count, Diary, tellOutcome } from './report.ts'
import { runScenario } from './scenario.ts'
import { gatewayVictim } from './victim.ts'

/** Kills between two lines of progress. */
const PROGRESS = 25

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '500' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
})
const kills = whole('kills')
const seed = whole('seed')

await using victim = await gatewayVictim()
const folder = await mkdtemp(join(tmpdir(), 'larder-torture-'))
const diary = new Diary(join(folder, 'diary'))
console.log(`${kills} kills, seed ${seed}, data in ${victim.dataDir}, diary in ${folder}`)
try {
  const outcome = await runScenario({
    victim,
    seed,
    kills,
    note: line => diary.note(line),
    onKill: async ({ kills: done, books }) => {
      if (done % PROGRESS > 0) return
      const store = count((await folderBytes(victim.dataDir)) / 1e6)
      const rig = count((await residentMemory(process.pid)) / 1e6)
      console.log(
        `${done} kills: ${count(books.acknowledged)} acknowledged, ${count(books.delivered)} delivered, ` +
          `${count(books.repeated)} repeated, store ${store} MB, rig ${rig} MB`,
      )
    },
  })
  console.log(tellOutcome(outcome))
  process.exitCode = outcome.verdict.faults.length === 0 ? 0 : 1
} catch (error) {
  process.exitCode = 1
  console.error(error)
}
if (process.exitCode === 0) {
  await rm(folder, { recursive: true })
} else {
  diary.flush()
  await writeFile(join(folder, 'gateway.log'), victim.log)
  console.error(`the diary and the gateway's log are in ${folder}`)
}

function whole(option: 'kills' | 'seed'): number {
  const value = Number(values[option])
  if (Number.isInteger(value) && value >= 0) return value
  console.error(`torture: --${option} is a whole number, not "${values[option]}"`)
  process.exit(2)
}
