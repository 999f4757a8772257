/** MQTT 3.1: a small table, as it is 3.1.1 in most. The format of the tables is at the top of `rig/format.ts`. */
import { conformance } from './rig/suite.ts'
import { BRIDGES, CONNECT, MIXED, PACKETS } from './v31/table.ts'

conformance({
  name: 'MQTT 3.1',
  version: 3,
  clauses: 'clauses-31.tsv',
  chapters: { CONNECT, packets: PACKETS, bridges: BRIDGES, 'together with 3.1.1': MIXED },
})
