/** Several addresses of one upstream: which is taken, and when another is. */
import { describe, expect, test } from 'vitest'
import { addressesOf, addressOf } from '../../../src/bridge/connection.ts'
import { freePort } from '../../support/free-port.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/wait.ts'
import { startLink } from './link.ts'
import { startUpstream } from './scripted-upstream.ts'

describe('an address', () => {
  test.each([
    ['mqtt://broker', { protocol: 'mqtt', host: 'broker', port: 1883, path: '/', place: 'broker:1883' }],
    ['mqtts://[::1]:443', { protocol: 'mqtts', host: '::1', port: 443, path: '/', place: '[::1]:443' }],
    ['ws://b:80/mqtt', { protocol: 'ws', host: 'b', port: 80, path: '/mqtt', place: 'b:80' }],
    ['wss://b:443/a/b', { protocol: 'wss', host: 'b', port: 443, path: '/a/b', place: 'b:443' }],
  ])('%s', (url, address) => {
    expect(addressOf(url)).toEqual(address)
  })
})

describe('several addresses', () => {
  const urls = ['mqtt://a:1', 'mqtt://b:2', 'mqtt://c:3']
  const places = (roundRobin: boolean, address?: number) =>
    addressesOf({ url: 'mqtt://a:1', urls, roundRobin }, address === undefined ? {} : { address }).map(
      each => each.host,
    )

  test('are tried from the first, or in turns', () => {
    expect(places(false, 1)).toEqual(['a', 'b', 'c'])
    expect(places(true)).toEqual(['a', 'b', 'c'])
    expect(places(true, 0)).toEqual(['b', 'c', 'a'])
    expect(places(true, 2)).toEqual(['a', 'b', 'c'])
  })

  test('may be names: one in the hosts file needs no name server', async () => {
    const peer = await startUpstream()
    const { upstream, up } = startLink({ url: peer.url.replace('127.0.0.1', 'localhost') })
    await up()
    expect(upstream.place).toBe(peer.place.replace('127.0.0.1', 'localhost'))
  })

  test('when the first does not answer, the next is taken at once', async () => {
    const away = `mqtt://127.0.0.1:${await freePort()}`
    const mute = await startUpstream(() => {})
    const peer = await startUpstream()
    const { upstream, up } = startLink({ url: away, urls: [away, mute.url, peer.url], connectTimeout: 100 })
    await up()
    expect(upstream.place).toBe(peer.place)
    expect(mute.connections).toHaveLength(1)
  })

  test('in turns, each connection begins with the one after the last, and none is gone back to', async () => {
    const clock = new ManualClock()
    const peers = [await startUpstream(), await startUpstream(), await startUpstream()]
    const all = peers.map(({ url }) => url)
    const memory = {}
    const taken: string[] = []
    for (let turn = 0; turn < 4; turn++) {
      // One that is away is passed over.
      if (turn === 2) peers[2]?.close()
      const { upstream, up } = startLink({ url: all[0] as string, urls: all, roundRobin: true }, { memory, clock })
      await up()
      taken.push(upstream.place)
      await clock.advance(300_000)
      expect(upstream.ready).toBe(true)
      upstream.cut(undefined)
    }
    expect(taken).toEqual([0, 1, 0, 1].map(index => all[index]?.replace('mqtt://', '')))
  })

  test('when none answers, it is told of each', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const urls = [`mqtt://127.0.0.1:${first}`, `mqtt://127.0.0.1:${second}`]
    const { down } = startLink({ url: urls[0] as string, urls })
    expect((await down()).reason).toBe(`nothing listens at 127.0.0.1:${first}; nothing listens at 127.0.0.1:${second}`)
  })

  test('the first is gone back to when it has answered twice, a minute apart, and what is in flight is waited for', async () => {
    const clock = new ManualClock()
    const port = await freePort()
    const second = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.accept()
      if (packet.cmd === 'disconnect') connection.socket.end()
    })
    const first = `mqtt://127.0.0.1:${port}`
    const { upstream, events, up, down } = startLink({ url: first, urls: [first, second.url] }, { clock })
    await up()
    upstream.client?.publish('t', '', { qos: 1 }, () => events.push('done'))
    const message = await until(() => second.publishes[0], { what: 'the message' })
    // Away at the first look.
    await clock.advance(60_000)
    const back = await startUpstream(undefined, port)
    for (let look = 1; look <= 2; look++) {
      await clock.advance(60_000)
      await until(() => back.connections.length >= look, { what: `look ${look}` })
      await until(() => back.connections.every(each => each.closed), { what: `look ${look} to end` })
    }
    await until(() => !upstream.ready, { what: 'the goodbye' })
    expect(events).toEqual(['up'])
    second.connections[0]?.acknowledge(message)
    expect((await down()).reason).toBe(`127.0.0.1:${port} answers again, and is gone back to`)
    expect(events).toEqual(['up', 'done', 'down'])
    expect(clock.pending).toBe(0)
  })
})
