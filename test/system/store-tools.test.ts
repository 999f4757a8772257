/** `larder store` on a gateway that runs: its store is looked at, copied and compacted while messages go through it. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Gateway, larder, startGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { Process, run } from '../support/process.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-store-tools-'))
})
afterAll(() => rm(folder, { recursive: true }))

const TIMEOUT = 60_000

async function store(gateway: Gateway, ...args: string[]): Promise<string[]> {
  const [command = '', ...rest] = args
  const flags = ['-c', join(gateway.folder, 'larder.yaml')]
  const { code, lines, errors } = await larder(['store', command, ...flags, ...rest], { timeout: TIMEOUT, cwd: folder })
  expect([code, errors]).toEqual([0, []])
  return lines
}

type Dumped = Record<string, unknown>
const dumped = async (gateway: Gateway, ...flags: string[]): Promise<Dumped[]> =>
  (await store(gateway, 'dump', ...flags)).map(line => JSON.parse(line))

/** A session that is kept while its client is away. */
async function away(gateway: Gateway, clientId: string, filter: string): Promise<void> {
  await using sub = await startSub({ port: gateway.port, topics: [filter], clientId, qos: 1, persistent: true })
  await sub.stop()
}

test.skipIf(!needs('mosquitto_sub'))('what is only in memory is seen too, and nothing is disturbed', async () => {
  await using gateway = await startGateway({ config: 'name: Test' })
  const { port } = gateway
  await away(gateway, 'keeper', 'a/#')
  await pub('kept in memory', { port, topic: 'now', retain: true })
  await pub(['1', '2', '3'], { port, topic: 'a/b', qos: 1 })
  const waiting = await dumped(gateway, '--client', 'keeper')
  expect(waiting.map(({ type, payload }) => [type, payload])).toEqual([
    ['session', undefined],
    ['subscription', undefined],
    ['waiting', '1'],
    ['waiting', '2'],
    ['waiting', '3'],
  ])
  expect(await dumped(gateway, '--topic', 'now')).toMatchObject([{ type: 'retained', payload: 'kept in memory' }])
  const statistics = JSON.parse((await store(gateway, 'stats', '--json'))[0] ?? '')
  expect(statistics).toMatchObject({
    sessions: 1,
    subscriptions: 1,
    waiting: { messages: 3 },
    retained: { messages: 1 },
  })
  expect((await store(gateway, 'compact'))[0]).toMatch(/while the gateway runs$/)
  await using sub = await startSub({ port, topics: ['a/#'], clientId: 'keeper', qos: 1, persistent: true })
  await sub.received(3)
  expect(sub.payloads).toEqual(['1', '2', '3'])
})

test.skipIf(!needs('mosquitto_sub'))(
  'an export while messages come: all that was acknowledged before, in order, on another machine',
  { timeout: 120_000 },
  async () => {
    await using gateway = await startGateway({ config: 'name: Test' })
    const { port } = gateway
    await away(gateway, 'keeper', 'a/#')
    const publisher = new Process(
      'bash',
      [
        '-c',
        `i=0; while true; do for _ in $(seq 200); do echo $((i++)); done; sleep 0.05; done | mosquitto_pub -h 127.0.0.1 -p ${port} -t a/b -q 1 -l -i publisher`,
      ],
      { group: true },
    )
    const count = async () => JSON.parse((await store(gateway, 'stats', '--json'))[0] ?? '').waiting.messages as number
    try {
      const before = await until(
        async () => {
          const messages = await count()
          return messages > 500 ? messages : undefined
        },
        { what: 'messages to wait', timeout: 30_000 },
      )
      await store(gateway, 'export', join(folder, 'running.backup'))
      const after = await count()
      await using other = await startGateway({ config: 'name: Other' })
      await other.stop()
      await store(other, 'import', '--replace', join(folder, 'running.backup'))
      await other.start()
      const messages = await dumped(other, '--client', 'keeper', '--topic', '#')
      const numbers = messages.map(({ payload }) => Number(payload))
      expect(numbers.length).toBeGreaterThanOrEqual(before)
      expect(numbers.length).toBeLessThanOrEqual(after)
      expect(numbers).toEqual(numbers.map((_, i) => i))
      // And the messages are not only shown.
      await using sub = await startSub({
        port: other.port,
        topics: ['a/#'],
        clientId: 'keeper',
        qos: 1,
        persistent: true,
      })
      await sub.received(numbers.length, 30_000)
      expect(sub.payloads.slice(0, numbers.length)).toEqual(numbers.map(String))
    } finally {
      await publisher[Symbol.asyncDispose]()
    }
  },
)

test('import wants the gateway stopped, and says so', async () => {
  await using gateway = await startGateway({ config: 'name: Test' })
  await store(gateway, 'export', join(folder, 'x.backup'))
  expect((await stat(join(folder, 'x.backup'))).mode & 0o777).toBe(0o600)
  const args = ['store', 'import', '--replace', '-c', join(gateway.folder, 'larder.yaml'), join(folder, 'x.backup')]
  const { code, errors } = await larder(args, { timeout: TIMEOUT })
  expect(code).toBe(1)
  expect(errors.join('\n')).toMatch(/^larder: STORE_LOCKED: /)
})

test.skipIf(!needs('mosquitto_pub'))(
  'a pipe: export to stdout, import from stdin; and a reader that goes away early',
  async () => {
    await using gateway = await startGateway({ config: 'name: Test' })
    for (let i = 0; i < 20; i++)
      await pub('x'.repeat(60_000), { port: gateway.port, topic: `many/${i}`, retain: true, qos: 1 })
    const command = `node "$0" store export -c ${gateway.folder}/larder.yaml - | node "$0" store import --data-dir ${folder}/piped -`
    const bundle = join(import.meta.dirname, '../../dist/larder.js')
    const piped = await run('bash', ['-o', 'pipefail', '-c', command, bundle], { timeout: TIMEOUT })
    expect([piped.code, piped.errors]).toEqual([0, []])
    expect(piped.lines[0]).toMatch(/^larder: imported \d+ records into /)
    const head = `node "$0" store dump -c ${gateway.folder}/larder.yaml | head -1`
    const cut = await run('bash', ['-c', head, bundle], { timeout: TIMEOUT })
    expect([cut.code, cut.errors, cut.lines.length]).toEqual([0, [], 1])
    // The gateway has let go of what nobody reads any more, and answers others.
    expect(await dumped(gateway, '--topic', 'many/7')).toHaveLength(1)
  },
)
