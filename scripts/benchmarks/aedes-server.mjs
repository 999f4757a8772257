/**
 * Stock aedes, set up as its README says, for `scripts/bench` to measure: with aedes-persistence-level when it gets a
 * folder, in memory without.
 *   node aedes-server.mjs PORT [FOLDER]
 * Run as it is, without a build: it needs nothing of ours.
 */
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import persistence from 'aedes-persistence-level'
import { Level } from 'level'

const [port, folder] = process.argv.slice(2)

const db = folder === undefined ? undefined : new Level(folder)
const broker = await Aedes.createBroker(db === undefined ? {} : { persistence: persistence(db) })
const server = createServer(broker.handle)
server.listen(Number(port), '127.0.0.1')

process.once('SIGTERM', () => {
  server.close()
  broker.close(async () => {
    await db?.close()
    process.exit(0)
  })
})
