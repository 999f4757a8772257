/** How much each client has to do, counted. Part of the composition root, with `main.ts`. */
import { SPOOL_CLIENT_PREFIX } from './bridge/ports.ts'
import type { Hub } from './broker/hub.ts'

export interface ClientCount {
  readonly id: string
  readonly connected: boolean
  /** PUBLISH packets of its connection. */
  readonly received: number
  readonly sent: number
  /** What waits in its queue, or is on its way to it. */
  readonly waiting: number
  readonly waitingBytes: number
}

/** The clients with the most to do, `limit` at most. */
export function busiestClients(hub: Hub, limit: number): ClientCount[] {
  const { queues } = hub.persistence
  const counts: ClientCount[] = []
  for (const session of Object.values(hub.clients)) {
    if (session === undefined) continue
    const { count = 0, bytes = 0 } = session.queue ?? {}
    counts.push({ id: session.id, connected: true, ...session.publishes, waiting: count, waitingBytes: bytes })
  }
  for (const id of queues.clientIds()) {
    if (hub.clients[id] !== undefined || id.startsWith(SPOOL_CLIENT_PREFIX)) continue
    const { count = 0, bytes = 0 } = queues.find(id) ?? {}
    counts.push({ id, connected: false, received: 0, sent: 0, waiting: count, waitingBytes: bytes })
  }
  const work = ({ received, sent, waiting }: ClientCount) => received + sent + waiting
  return counts.sort((a, b) => work(b) - work(a)).slice(0, limit)
}
