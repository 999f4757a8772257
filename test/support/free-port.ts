import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below those that the kernel gives to outgoing connections: one of these could take the port before the test does. */
const FIRST = 10_000
const LAST = 32_000

/** Test files that run at the same time draw from different shares: nobody else takes a port between the look and its use. */
const SHARES = 8
const SHARE = Math.floor((LAST - FIRST) / SHARES)
const first = FIRST + (Number(process.env.VITEST_POOL_ID ?? 0) % SHARES) * SHARE

/** Every port of the share has its turn, so that none is given twice while the first who got it has not used it yet. */
let turn = Math.floor(Math.random() * SHARE)

/** A TCP port of 127.0.0.1 that was free a moment ago. Prefer port 0 where the thing under test can say what it got. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = first + turn
    turn = (turn + 1) % SHARE
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
