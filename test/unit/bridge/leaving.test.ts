/** A bridge that leaves, or hurries, for a reason of its own: nothing to do, new files of TLS, a reload. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { Authority } from '../../support/certificates.ts'
import { freePort } from '../../support/free-port.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { needs } from '../../support/needs.ts'
import { until } from '../../support/wait.ts'
import { startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'
import { tlsBefore } from './tls-front.ts'

/** ms that an upstream takes to acknowledge. */
const LATE = 100

test('a lazy bridge says goodbye upstream, and is not said to have failed', async () => {
  const clock = new ManualClock()
  const peer = await startUpstream()
  const lazy = { startType: 'lazy', threshold: 1, idleTimeout: 5_000, notifyUpstream: true } as const
  const { queue, bridge, messages } = await startBridge(peer.url, lazy, clock)
  for (let round = 0; round < 2; round++) {
    queue.push({ topic: 't' })
    await clock.advance(1_000)
    await until(() => queue.count === 0, { what: `message ${round}` })
    // To the end of its patience and not further: what it says then takes real time.
    await clock.advance(6_000)
    await until(() => peer.connections[round]?.closed, { what: `the end of connection ${round}` })
    await until(() => !bridge.state.connected, { what: 'its state' })
  }
  const state = '$SYS/broker/connection/larder-test/state'
  const said = peer.connections.map(({ packets }) =>
    packets.flatMap(packet =>
      packet.cmd === 'publish' && packet.topic === state
        ? [String(packet.payload)]
        : packet.cmd === 'disconnect'
          ? ['goodbye']
          : [],
    ),
  )
  expect(said).toEqual([
    ['1', '0', 'goodbye'],
    ['1', '0', 'goodbye'],
  ])
  expect(bridge.state.lastError).toBeUndefined()
  expect(messages().filter(message => /disconnected|cannot/.test(message))).toEqual([])
})

test('a reload does not wait for the end of a pause', async () => {
  const port = await freePort()
  const { queue, bridge, lines } = await startBridge(`mqtt://127.0.0.1:${port}`, {
    retry: { min: 3_600_000, max: 3_600_000 },
  })
  queue.push({ topic: 't' })
  await until(() => lines.length === 1, { what: 'a first failure' })
  await startUpstream(undefined, port)
  await bridge.renew()
  await until(() => queue.count === 0, { what: 'an empty queue' })
})

test.skipIf(!needs('openssl'))(
  'a reload with other files waits for what is under way, then connects at once',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-bridge-renewal-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const [home, other] = [await Authority.make(folder, 'home'), await Authority.make(folder, 'elsewhere')]
    const ca = join(folder, 'live.pem')
    await copyFile(home.cert, ca)
    let held: (() => void) | undefined
    const peer = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') connection.accept()
      else if (packet.cmd === 'disconnect') connection.socket.end()
      else if (packet.cmd === 'publish') {
        if (index === 0) held = () => connection.acknowledge(packet)
        else connection.acknowledge(packet)
      }
    })
    const { port } = await tlsBefore(peer, {}, await home.server())
    const { queue, bridge, messages } = await startBridge(`mqtts://127.0.0.1:${port}`, {
      tls: { ca },
      retry: { min: 3_600_000, max: 3_600_000 },
    })
    queue.push({ topic: 'one' })
    await until(() => held, { what: 'a message' })
    await bridge.renew()
    expect(peer.connections).toHaveLength(1)

    await copyFile(other.cert, ca)
    await copyFile(home.cert, ca)
    await bridge.renew()
    expect(peer.connections).toHaveLength(1)

    await writeFile(ca, `${await readFile(home.cert, 'utf8')}${await readFile(other.cert, 'utf8')}`)
    await Promise.all([bridge.renew(), pause(LATE).then(() => held?.())])
    queue.push({ topic: 'two' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    // Acknowledged on the first connection, and not sent again.
    expect(peer.connections.map(({ topics }) => topics)).toEqual([['one'], ['two']])
    expect(messages()).toContain('bridge connects again, with its new TLS files')
    expect(bridge.state.lastError).toBeUndefined()
  },
)
