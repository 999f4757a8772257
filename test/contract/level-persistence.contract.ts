/** The suite that aedes-persistence publishes for everybody who implements its contract, on our store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { LevelPersistence } from '../../src/store/persistence.ts'

const abstractPersistence = createRequire(import.meta.url)('aedes-persistence/abstract.js')

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

abstractPersistence({
  test,
  testAsync: true,
  persistence: () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'larder-contract-'))
    folders.push(dataDir)
    return new LevelPersistence(
      {
        dataDir,
        commitDelay: 5,
        retainedInterval: 300_000,
        limits: { maxMessages: 100_000, maxBytes: 256 * 1024 * 1024 },
      },
      { clock: systemClock, log: silentLog },
    )
  },
})
