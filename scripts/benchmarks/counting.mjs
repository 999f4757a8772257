/**
 * Loaded into a gateway by `scripts/bench counts`, before anything of its own (NODE_OPTIONS=--import): counts what it
 * allocates, which promises and other asynchronous resources it makes, and its read and write calls. SIGUSR2 has the
 * totals written to standard output as one line, `counts {…}`. Run as it is, without a build: it needs nothing of ours.
 */
import { createHook } from 'node:async_hooks'
import { readFileSync, writeSync } from 'node:fs'
import { GCProfiler, getHeapStatistics } from 'node:v8'

let promises = 0
let callbacks = 0
createHook({
  init(_, type) {
    if (type === 'PROMISE') promises++
    else callbacks++
  },
}).enable()

const used = () => getHeapStatistics().used_heap_size

let collections = new GCProfiler()
collections.start()
let from = used()
let bytes = 0

/** What was allocated lies between the heap after one collection and before the next. */
function countBytes() {
  for (const { beforeGC, afterGC } of collections.stop().statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - from
    from = afterGC.heapStatistics.usedHeapSize
  }
  const now = used()
  bytes += now - from
  collections = new GCProfiler()
  collections.start()
  from = used()
}

process.on('SIGUSR2', () => {
  countBytes()
  // See proc(5): calls of read(2), write(2) and their kin, of all threads, for sockets as for files.
  const io = readFileSync('/proc/self/io', 'latin1')
  const calls = name => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(io)?.[1])
  writeSync(
    1,
    `counts ${JSON.stringify({ bytes, promises, callbacks, reads: calls('syscr'), writes: calls('syscw') })}\n`,
  )
})
