/** QoS 2 while the disk is slow: what comes again must not be answered before what came first is on record. */
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
import { until } from '../../support/wait.ts'

const LIMITS = testLimits({
  maxPacketSize: 1024 * 1024,
  receiveMaximum: 100,
  maxQueuedMessages: 1_000,
  maxQueuedBytes: 1024 * 1024,
  maxUnsent: 1024 * 1024,
  maxTopicLevels: 100,
})

/** Runs `scene` with a hub whose batches wait from `hold` until `open`. */
async function onSlowDisk(
  scene: (stage: { connect(clientId: string): Promise<RawClient>; hold(): void; open(): void }) => Promise<void>,
): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-repeated-'))
  /** While set, batches wait for it. */
  let gate: Promise<void> | undefined
  let open = () => {}
  const hold = () => {
    gate = new Promise(resolve => {
      open = resolve
    })
  }
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
  const { port } = server.address() as AddressInfo
  try {
    const connect = (clientId: string) => RawClient.connect({ port, clientId, clean: false, acknowledging: false })
    await scene({ connect, hold, open: () => open() })
  } finally {
    open()
    await hub.shut()
    server.close()
    await store.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
}

test('PUBREC of a repeated PUBLISH waits until the first is on the disk', async () => {
  const message = { cmd: 'publish', topic: 'bread', payload: 'once', qos: 2, retain: true, messageId: 9 } as const
  await onSlowDisk(async ({ connect, hold, open }) => {
    const first = await connect('publisher')
    hold()
    first.send({ ...message, dup: false })
    await first.ping()
    await first.cut()
    await using second = await connect('publisher')
    second.send({ ...message, dup: true })
    for (let i = 0; i < 20; i++) await second.ping()
    expect(second.others.filter(({ cmd }) => cmd === 'pubrec')).toEqual([])
    open()
    await second.next('pubrec', 9)
    second.send({ cmd: 'pubrel', messageId: 9 })
    await second.next('pubcomp', 9)
  })
})

test('PUBREL waits until PUBREC is on the disk, also when PUBREC comes twice', async () => {
  await onSlowDisk(async ({ connect, hold, open }) => {
    await using subscriber = await connect('subscriber')
    await subscriber.subscribe({ topic: 'bread', qos: 2 })
    await using publisher = await connect('publisher')
    publisher.send({ cmd: 'publish', topic: 'bread', payload: 'once', qos: 2, retain: false, dup: false, messageId: 1 })
    const { messageId } = await until(() => subscriber.publishes[0], { what: 'the message' })
    hold()
    for (let i = 0; i < 2; i++) {
      subscriber.send({ cmd: 'pubrec', messageId: messageId as number })
      for (let turn = 0; turn < 10; turn++) await subscriber.ping()
    }
    expect(subscriber.others.filter(({ cmd }) => cmd === 'pubrel')).toEqual([])
    open()
    await subscriber.next('pubrel', messageId as number)
  })
})
