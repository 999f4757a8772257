/**
 * A publisher that had no answer comes back and sends its message of QoS 2 again, while the first is still on its way
 * to the disk: it may not be answered before the message is there.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Hub } from '../../../src/broker/hub.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { testLimits } from '../../support/limits.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { testStore } from '../../support/store.ts'

const LIMITS = testLimits({
  maxPacketSize: 1024 * 1024,
  receiveMaximum: 100,
  maxQueuedMessages: 1_000,
  maxQueuedBytes: 1024 * 1024,
  maxUnsent: 1024 * 1024,
  maxTopicLevels: 100,
})

test('PUBREC of a repeated PUBLISH waits until the first is on the disk', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-repeated-'))
  /** While set, batches wait for it. */
  let gate: Promise<void> | undefined
  const store = testStore(
    dataDir,
    {},
    {
      writer: disk => ({
        async write(operations, sync) {
          await gate
          await disk.write(operations, sync)
        },
      }),
    },
  )
  const hub = new Hub({ persistence: store, limits: LIMITS, clock: systemClock, log: silentLog })
  await hub.listen()
  const server = createServer(socket => void hub.accept(socket, {})).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const connect = () =>
    RawClient.connect({ port: (server.address() as AddressInfo).port, clientId: 'publisher', clean: false })
  const message = { cmd: 'publish', topic: 'bread', payload: 'once', qos: 2, retain: true, messageId: 9 } as const
  let open = () => {}
  try {
    const first = await connect()
    gate = new Promise(resolve => {
      open = resolve
    })
    first.send({ ...message, dup: false })
    await first.ping()
    await first.cut()
    await using second = await connect()
    second.send({ ...message, dup: true })
    for (let i = 0; i < 20; i++) await second.ping()
    expect(second.others.filter(({ cmd }) => cmd === 'pubrec')).toEqual([])
    open()
    await second.next('pubrec', 9)
    second.send({ cmd: 'pubrel', messageId: 9 })
    await second.next('pubcomp', 9)
  } finally {
    open()
    await hub.shut()
    server.close()
    await store.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
})
