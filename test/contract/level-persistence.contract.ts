/** The suite that aedes-persistence publishes for everybody who implements its contract, on our store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { testStore } from '../support/store.ts'

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
    return testStore(dataDir)
  },
})
