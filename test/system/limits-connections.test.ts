/** `limits.max_connections…` and `limits.max_half_open`: who is closed, who comes in, and what the owner is told. */

import { createConnection, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startLimited } from '../support/limited.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until, within } from '../support/wait.ts'
import { Attacker, connectBytes } from './attacks/attacker.ts'

const BEHIND_PROXY = { listeners: [{ url: 'mqtt://127.0.0.1:0', proxy_protocol: true }] }

/** A client that a proxy says is at `address`. */
async function from(port: number, address: string): Promise<Attacker> {
  const client = await Attacker.open(port)
  onTestFinished(() => client[Symbol.asyncDispose]())
  const [family, proxy] = address.includes(':') ? ['TCP6', '::1'] : ['TCP4', '127.0.0.1']
  client.raw(Buffer.from(`PROXY ${family} ${address} ${proxy} 4000 1883\r\n`), connectBytes(4, { keepalive: 0 }))
  return client
}

async function comesIn(port: number, address: string): Promise<Attacker> {
  const client = await from(port, address)
  await client.next('connack')
  return client
}

async function isClosed(port: number, address: string): Promise<void> {
  const client = await from(port, address)
  await within(client.closed, { what: `the end of a connection from ${address}` })
  expect(client.packets).toEqual([])
}

async function silent(port: number, host = '127.0.0.1'): Promise<Socket & { isClosed?: boolean }> {
  const socket: Socket & { isClosed?: boolean } = createConnection(port, host)
  socket
    .on('error', () => {})
    .on('close', () => {
      socket.isClosed = true
    })
  onTestFinished(() => void socket.destroy())
  await new Promise(resolve => socket.once('connect', resolve))
  return socket
}

describe('max_connections_per_address', () => {
  test('counts by the address that the proxy tells, and says so once a minute', async () => {
    const clock = new ManualClock()
    const { port, warnings } = await startLimited({ max_connections_per_address: 2 }, { settings: BEHIND_PROXY, clock })
    const first = await comesIn(port, '192.168.1.7')
    await comesIn(port, '192.168.1.7')
    for (let i = 0; i < 3; i++) await isClosed(port, '192.168.1.7')
    await comesIn(port, '192.168.1.8')
    expect(warnings('limits.max_connections_per_address')).toMatchObject([
      { fields: { address: '192.168.1.7', refused: 1, max: 2 } },
    ])
    await clock.advance(60_000)
    await isClosed(port, '192.168.1.7')
    expect(warnings('limits.max_connections_per_address').at(-1)).toMatchObject({ fields: { refused: 3 } })
    first.socket.destroy()
    await until(
      async () => {
        const client = await from(port, '192.168.1.7')
        return Promise.race([client.next('connack').then(() => true), client.closed.then(() => false)])
      },
      { what: 'a place for another connection from there' },
    )
  })

  test('knows an IPv6 host by the first 64 bits of its address', async () => {
    const { port } = await startLimited({ max_connections_per_address: 2 }, { settings: BEHIND_PROXY })
    await comesIn(port, '2001:db8:1:2::1')
    await comesIn(port, '2001:db8:1:2:ffff::9')
    await isClosed(port, '2001:db8:1:2:3:4:5:6')
    await comesIn(port, '2001:db8:1:3::1')
  })

  test('does not count what is on this machine', async () => {
    const { port } = await startLimited({ max_connections_per_address: 1 })
    for (let i = 0; i < 4; i++) {
      const client = await RawClient.connect({ port })
      onTestFinished(() => client[Symbol.asyncDispose]())
    }
  })

  const outside = Object.values(networkInterfaces())
    .flat()
    .find(each => each?.family === 'IPv4' && !each.internal)?.address

  test.skipIf(outside === undefined)('closes whoever is too much before a byte is read', async () => {
    const host = outside as string
    const access = { allow_anonymous: true }
    const { port } = await startLimited(
      { max_connections_per_address: 2 },
      { settings: { listeners: [{ url: `mqtt://${host}:0`, access }] } },
    )
    const here = [await silent(port, host), await silent(port, host), await silent(port, host)]
    await until(() => here.filter(({ isClosed }) => isClosed).length === 1, { what: 'the end of one of three' })
  })
})

describe('max_half_open', () => {
  const MAX = 5

  test('while all are in haste the newcomer is closed; later whoever has been there longest makes room', async () => {
    const clock = new ManualClock()
    const { port, warnings } = await startLimited({ max_half_open: MAX }, { clock })
    const waiting: Awaited<ReturnType<typeof silent>>[] = []
    for (let i = 0; i < MAX; i++) waiting.push(await silent(port))
    const late = await silent(port)
    await until(() => late.isClosed, { what: 'the end of the newcomer' })
    expect(waiting.some(({ isClosed }) => isClosed)).toBe(false)
    // Bytes that trickle in do not help.
    for (const socket of waiting) socket.write(Buffer.from([0x10]))
    await clock.advance(2_000)
    const client = await RawClient.connect({ port })
    onTestFinished(() => client[Symbol.asyncDispose]())
    await until(() => waiting[0]?.isClosed, { what: 'the end of the oldest' })
    expect(waiting.filter(({ isClosed }) => isClosed)).toHaveLength(1)
    expect(warnings('limits.max_half_open')).toMatchObject([{ fields: { closed: 1, max: MAX } }])
  })

  test('who has sent CONNECT does not count', async () => {
    const { port } = await startLimited({ max_half_open: MAX })
    const clients: RawClient[] = []
    for (let i = 0; i < 4 * MAX; i++) clients.push(await RawClient.connect({ port }))
    onTestFinished(async () => {
      for (const client of clients) await client[Symbol.asyncDispose]()
    })
    for (const client of clients) await client.ping()
  })

  test('counts over all listeners, whatever they speak', async () => {
    const clock = new ManualClock()
    const listeners = ['mqtt://127.0.0.1:0', 'ws://127.0.0.1:0']
    const { ports } = await startLimited({ max_half_open: 2 }, { settings: { listeners }, clock })
    const [tcp, web] = ports as [number, number]
    const [first, second] = [await silent(tcp), await silent(web)]
    // One that has come in as a stream and does not go on is one of them still.
    const third = await silent(web)
    await until(() => third.isClosed, { what: 'the end of the third' })
    expect([first.isClosed, second.isClosed]).toEqual([undefined, undefined])
  })
})

test('a reload changes them', async () => {
  const { port, reload } = await startLimited({ max_connections: 1, max_half_open: 1 })
  const first = await RawClient.connect({ port })
  onTestFinished(() => first[Symbol.asyncDispose]())
  const second = await silent(port)
  await until(() => second.isClosed, { what: 'the end of the second' })
  await reload({ max_connections: 3, max_half_open: 1 })
  const third = await RawClient.connect({ port })
  onTestFinished(() => third[Symbol.asyncDispose]())
  const fourth = await silent(port)
  const fifth = await silent(port)
  await until(() => fifth.isClosed, { what: 'the end of the fifth' })
  expect(fourth.isClosed).toBeUndefined()
})
