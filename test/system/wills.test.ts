/** Wills that a crash of the gateway leaves behind are published after it, if their clients still may. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, expect, test } from 'vitest'
import { type Gateway, larder, prepareGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

/** They come when their clients have had time to come back: four times the five seconds of a heartbeat. */
const WILLS_TIMEOUT = 40_000

let gateway: Gateway | undefined
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]()
  gateway = undefined
})

test('a will that a crash left is held to the rights of its client', { timeout: 90_000 }, async () => {
  gateway = await prepareGateway({
    config: 'access: { password_file: passwords, acl_file: acl, allow_anonymous: true }',
  })
  const { folder, port } = gateway
  for (const user of ['anna', 'bert', 'carl']) {
    const create = user === 'anna' ? ['-c'] : []
    await larder(['passwd', ...create, '-b', '-H', 'sha512', join(folder, 'passwords'), user, 'secret'])
  }
  const rights = (...lines: string[]) => writeFile(join(folder, 'acl'), `topic read #\n${lines.join('\n')}\n`)
  await rights('user anna', 'topic write last/#', 'user carl', 'topic write last/#')
  await gateway.start()
  const enter = (username: string, topic: string) =>
    RawClient.connect({
      port,
      clientId: username,
      username,
      password: 'secret',
      will: { topic, payload: username, qos: 1 },
    })
  await using _anna = await enter('anna', 'last/words')
  await using _bert = await enter('bert', 'last/words')
  await using _carl = await enter('carl', 'last/words')
  await using _own = await RawClient.connect({
    port,
    clientId: 'own',
    will: { topic: '$SYS/last/words', payload: 'own' },
  })
  // Acknowledged behind them: the wills are on disk by then.
  await using witness = await RawClient.connect({ port, clientId: 'witness', clean: false })
  await witness.subscribe({ topic: '#', qos: 1 }, { topic: '$SYS/last/#', qos: 1 })
  await gateway.kill()

  await rights('user anna', 'topic write last/#')
  await gateway.start()
  await using listener = await RawClient.connect({ port, clientId: 'witness', clean: false })
  const refused = () => gateway?.process.errors.filter(line => line.includes('a will is not published')) ?? []
  const words = () =>
    listener.publishes.filter(({ topic }) => topic.includes('last/')).map(({ payload }) => payload.toString())
  await until(() => words().length + refused().length >= 4, { what: 'the wills', timeout: WILLS_TIMEOUT })
  expect(words()).toEqual(['anna'])
  for (const client of ['bert', 'carl', 'own']) expect(refused().join('\n')).toContain(client)

  // They are done with: none is left for the next start.
  await gateway.stop()
  const store = new Level(join(gateway.dataDir, 'store'))
  const left = (await store.keys().all()).filter(key => key.startsWith('w'))
  await store.close()
  expect(left).toEqual([])
})
