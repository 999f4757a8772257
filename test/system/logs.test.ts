/** The log of the built gateway as its owner meets it: on stderr, by `larder log`, below `$SYS`; and what is never in it. */
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Gateway, larder, prepareGateway, ROOT } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { Process } from '../support/process.ts'
import { until } from '../support/wait.ts'

const TOPICS = '$SYS/broker/log/#'
/** Wrong logins after which somebody is slowed, which is a warning. */
const FAILURES = 10

/** A gateway that Ann may use, and nobody else. */
async function house(more: string): Promise<Gateway> {
  const gateway = await prepareGateway({ config: `access: { password_file: passwords }\n${more}` })
  await larder(['passwd', '-c', '-b', '-H', 'sha512', join(gateway.folder, 'passwords'), 'ann', 'open sesame'])
  await gateway.start()
  return gateway
}

const ann = (port: number) => RawClient.connect({ port, username: 'ann', password: 'open sesame' })

async function guess(port: number): Promise<void> {
  for (let i = 0; i < FAILURES; i++) {
    await using client = await RawClient.open({ port })
    await client.handshake({ username: 'ann', password: `secret-guess-${i}` }).catch(() => {})
  }
}

test('lines are published where that is wanted, and not kept there', async () => {
  await using gateway = await house('log: { topics: warn }')
  await using reader = await ann(gateway.port)
  await reader.subscribe({ topic: TOPICS, qos: 0 })
  const before = Date.now() / 1000
  await guess(gateway.port)
  await reader.received(1)
  const [line] = reader.publishes
  expect([line?.topic, line?.retain]).toEqual(['$SYS/broker/log/W', false])
  const [, seconds, text] = /^(\d+): (.*)$/.exec(`${line?.payload}`) ?? []
  expect(Math.abs(Number(seconds) - before)).toBeLessThan(10)
  expect(text).toBe(
    'logins from this address fail again and again: they are slowed from now on address=127.0.0.1 failures=10',
  )
  await using late = await ann(gateway.port)
  await late.subscribe({ topic: TOPICS, qos: 0 })
  await late.ping()
  expect(late.publishes).toEqual([])
})

describe('larder log', () => {
  test('shows the last lines, and those that follow', async () => {
    await using gateway = await house('')
    const at = ['--data-dir', gateway.dataDir]
    const { code, lines } = await larder(['log', ...at])
    expect(code).toBe(0)
    expect(lines.length).toBe(gateway.stderr.split('\n').length)
    expect(lines.join('\n')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z info {2}clients must log in passwordFile=.* users=1$/m)
    expect((await larder(['log', '-n', '1', ...at])).lines).toEqual(lines.slice(-1))
    const [line = ''] = (await larder(['log', '-n', '1', '--json', ...at])).lines
    expect(JSON.parse(line)).toMatchObject({ at: expect.any(Number), level: 'info', text: expect.any(String) })

    await using following = new Process(process.execPath, [join(ROOT, 'dist/larder.js'), 'log', '-f', '-n', '1', ...at])
    await following.line(() => true)
    await guess(gateway.port)
    expect(await following.line(line => line.includes('WARN'))).toContain('they are slowed from now on')
    expect(await following.kill('SIGTERM')).toMatchObject({ code: 0 })
  })

  test('says that there is no gateway, and what is no number', async () => {
    await using gateway = await prepareGateway({ config: '' })
    expect(await larder(['log', '--data-dir', gateway.dataDir])).toMatchObject({ code: 1, lines: [] })
    expect(await larder(['log', '-n', 'many'])).toMatchObject({
      code: 2,
      errors: ['larder: log: --lines many is no number of lines, such as 100'],
    })
  })
})

test('no secret is in the log, in the status or below $SYS, at the level that says most', async () => {
  const secrets = ['open sesame', 'secret-guess', 'bridge-secret', 'proxy-secret', 'token-secret-0123', 'c0ffee5ec2e7']
  const [nobody, metrics] = [await freePort(), await freePort()]
  await using other = await house('')
  await using gateway = await house(`
log: { level: debug, topics: info }
metrics: { listen: 'http://127.0.0.1:${metrics}', bearer_token: token-secret-0123, sys_interval: 200ms }
bridges:
  - name: far
    url: mqtt://127.0.0.1:${nobody}
    username: larder
    password: bridge-secret
    proxy: http://larder:proxy-secret@127.0.0.1:${nobody}
    retry: { min: 1s, max: 1s }
    out: [{ filter: a }]
  - name: near
    url: mqtt://127.0.0.1:${other.port}
    username: ann
    password: bridge-secret
    retry: { min: 1s, max: 1s }
    out: [{ filter: b }]
  - name: keyed
    url: mqtts://127.0.0.1:${nobody}
    tls: { psk_identity: larder, psk_key: "c0ffee5ec2e7" }
    retry: { min: 1s, max: 1s }
    out: [{ filter: c }]
`)
  await using reader = await ann(gateway.port)
  await reader.subscribe({ topic: '$SYS/#', qos: 0 })
  await guess(gateway.port)
  await fetch(`http://127.0.0.1:${metrics}/metrics`, { headers: { authorization: 'Bearer secret-guess' } })
  await until(() => ['far', 'near', 'keyed'].every(name => gateway.stderr.includes(`"bridge":"${name}"`)), {
    what: 'each bridge to say why it is not there',
  })
  // A configuration that is refused, and one that is taken up.
  const file = join(gateway.folder, 'larder.yaml')
  await writeFile(file, 'metrics: { bearer_token: [token-secret-0123] }\nbridges: [{ password: bridge-secret }]\n')
  expect((await larder(['reload', '--data-dir', gateway.dataDir])).code).toBe(1)
  const told = [
    gateway.log,
    ...(await larder(['log', '-n', '500', '--data-dir', gateway.dataDir])).lines,
    ...(await larder(['status', '--json', '--data-dir', gateway.dataDir])).lines,
    ...(await larder(['status', '--data-dir', gateway.dataDir])).lines,
    ...reader.publishes.map(({ topic, payload }) => `${topic} ${payload}`),
  ].join('\n')
  expect(told).toContain('$SYS/broker/log/')
  for (const secret of secrets) expect(told).not.toContain(secret)
})

test.skipIf(!needs('script'))('is text for a person at a terminal, and JSON for a program', async () => {
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  await using _ = { [Symbol.asyncDispose]: async () => void taken.close() }
  const { port } = taken.address() as { port: number }
  // It says a few lines and ends, because it cannot listen.
  const options = { config: `listeners: ['mqtt://127.0.0.1:${port}']`, waitReady: false }
  await using gateway = await prepareGateway(options)
  const command = [process.execPath, join(ROOT, 'dist/larder.js'), 'start', '-c', join(gateway.folder, 'larder.yaml')]
  await using person = new Process('script', ['-qec', command.join(' '), '/dev/null'])
  expect(await person.exit).toMatchObject({ code: 1 })
  expect(person.lines.join('\n')).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} info {2}what was acknowledged is on the disk lossWindow=0\r?$/m,
  )
  await gateway.start()
  expect(await gateway.exit).toMatchObject({ code: 1 })
  const said = gateway.stderr.split('\n').filter(line => line.startsWith('{'))
  expect(said.map(line => JSON.parse(line))).toContainEqual({
    level: 30,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    lossWindow: '0',
    msg: 'what was acknowledged is on the disk',
  })
})
