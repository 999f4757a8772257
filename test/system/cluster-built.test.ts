/** The built gateway on Redis, as an owner configures it: two of them, one of which is killed. */
import { expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { startRedis } from '../support/redis.ts'

const COUNT = 200

test.skipIf(!needs('redis-server'))('a client whose gateway is killed finds its queue at the other', async () => {
  const redis = await startRedis()
  try {
    const config = `store: {engine: redis, url: '${redis.url}'}`
    await using a = await startGateway({ config })
    await using b = await startGateway({ config })
    expect(a.stderr).toMatch(/A message is acknowledged when Redis has it/)
    const first = await RawClient.connect({ port: a.port, clientId: 'mover', clean: false })
    await first.subscribe({ topic: 'home/door', qos: 1 })
    await first.disconnect()
    await using publisher = await RawClient.connect({ port: a.port })
    const numbers = Array.from({ length: COUNT }, (_, number) => String(number))
    for (const number of numbers) await publisher.publish('home/door', number, { qos: 1 })
    await publisher.publish('home/light', 'on', { qos: 1, retain: true })
    await a.kill()

    await using second = await RawClient.connect({ port: b.port, clientId: 'mover', clean: false })
    expect(second.sessionPresent).toBe(true)
    await second.received(COUNT)
    expect(second.payloads).toEqual(numbers)
    await using other = await RawClient.connect({ port: b.port })
    await other.subscribe({ topic: 'home/light', qos: 1 })
    await other.received(1)
    expect(other.payloads).toEqual(['on'])
  } finally {
    await redis.remove()
  }
})

test('a Redis that is not there is said, and the gateway does not start', async () => {
  await using gateway = await startGateway({
    config: "store: {engine: redis, url: 'redis://127.0.0.1:1'}",
    waitReady: false,
  })
  const { code } = await gateway.exit
  expect(code).toBe(1)
  expect(gateway.stderr).toMatch(
    /STORE_FAILED: redis:\/\/127\.0\.0\.1:1 cannot be used.*Start Redis, or correct store\.url/s,
  )
})
