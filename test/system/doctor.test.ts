/** `larder doctor` from outside: gateways that run, are stopped, are locked up, or cannot reach their upstream. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { type Gateway, larder, prepareGateway, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/wait.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-doctor-'))
})
afterAll(() => rm(folder, { recursive: true }))

interface Finding {
  check: string
  subject?: string
  grade: string
  cause: string
  mend?: string
}

async function doctor(gateway: Gateway, ...flags: string[]): Promise<Finding[]> {
  const args = ['doctor', '-c', join(gateway.folder, 'larder.yaml'), '--json', ...flags]
  const { code, lines, errors } = await larder(args, { timeout: 60_000 })
  expect(errors).toEqual([])
  const { status, findings } = JSON.parse(lines.join('\n')) as { status: number; findings: Finding[] }
  expect(code).toBe(status)
  const grades = new Set(findings.map(({ grade }) => grade))
  expect(status).toBe(grades.has('fail') ? 2 : grades.has('warn') ? 1 : 0)
  return findings
}

const of = (findings: readonly Finding[], check: string, subject?: RegExp) =>
  findings.filter(each => each.check === check && (subject === undefined || subject.test(each.subject ?? '')))

test('a gateway that runs: a message goes through every listener and comes back', async () => {
  const authority = await Authority.make(folder, 'loop')
  const { cert, key } = await authority.issue({ names: ['IP:127.0.0.1'], days: 5 })
  const [tcp, ws, tls, wss, old] = await Promise.all(Array.from({ length: 5 }, freePort))
  const socket = join(folder, 'mqtt.sock')
  await using gateway = await startGateway({
    config: `listeners:
  - mqtt://127.0.0.1:${tcp}
  - ws://127.0.0.1:${ws}/mqtt
  - { url: 'mqtts://127.0.0.1:${tls}', tls: { cert: ${cert}, key: ${key} } }
  - { url: 'wss://127.0.0.1:${wss}/mqtt', tls: { cert: ${cert}, key: ${key} } }
  - { url: 'mqtt://127.0.0.1:${old}', versions: ['3.1.1'], proxy_protocol: true }
  - unix://${socket}`,
  })
  const findings = await doctor(gateway)
  const listeners = of(findings, 'listeners')
  const back = listeners.filter(({ cause }) => /came back after \d+ ms/.test(cause))
  expect(back.map(({ subject, grade }) => [subject, grade])).toEqual([
    [`mqtt://127.0.0.1:${tcp}`, 'ok'],
    [`ws://127.0.0.1:${ws}/mqtt`, 'ok'],
    [`mqtts://127.0.0.1:${tls}`, 'ok'],
    [`wss://127.0.0.1:${wss}/mqtt`, 'ok'],
    [`mqtt://127.0.0.1:${old}`, 'ok'],
    [`unix:${socket}`, 'ok'],
  ])
  const ending = listeners.filter(({ cause }) => /its certificate ends in \d days/.test(cause))
  expect(ending.map(({ grade }) => grade)).toEqual(['warn', 'warn'])
  expect(listeners.find(({ subject }) => subject === undefined)).toMatchObject({
    grade: 'warn',
    mend: expect.stringContaining('0.0.0.0'),
  })
  expect(of(findings, 'disk').map(({ grade }) => grade)).not.toContain('fail')
})

test('a gateway of the network: whether a password is asked for', async () => {
  const passwords = join(folder, 'passwords')
  expect((await larder(['passwd', '-b', '-c', passwords, 'anna', 'secret'])).code).toBe(0)
  const [open, guarded] = [await freePort(), await freePort()]
  await using gateway = await startGateway({
    config: `listeners:
  - { url: 'mqtt://0.0.0.0:${open}', access: { allow_anonymous: true } }
  - { url: 'mqtt://0.0.0.0:${guarded}', access: { password_file: ${passwords} } }`,
  })
  const findings = await doctor(gateway)
  const at = (port: number, all = findings) => of(all, 'listeners', new RegExp(`:${port}$`))
  expect(at(open)).toMatchObject([
    { grade: 'warn', cause: expect.stringContaining('without a password') },
    { grade: 'ok', cause: expect.stringContaining('came back') },
  ])
  expect(at(guarded)).toMatchObject([{ grade: 'ok', cause: 'it answers, and asks for user name and password' }])
  // Somebody is there to reach, so the way was that of the network.
  expect(Object.values(networkInterfaces()).flat().length).toBeGreaterThan(0)
  const known = await doctor(gateway, '-u', 'anna', '-P', 'secret')
  expect(at(guarded, known)).toMatchObject([{ grade: 'ok', cause: expect.stringContaining('came back') }])
  const wrong = await doctor(gateway, '-u', 'anna', '-P', 'guess')
  expect(at(guarded, wrong)).toMatchObject([
    { grade: 'fail', cause: expect.stringContaining('refuses that user name') },
  ])
})

test('a gateway that is stopped: its store, and who has its port', async () => {
  await using gateway = await startGateway({ config: 'name: Test' })
  await gateway.stop()
  const findings = await doctor(gateway)
  expect(of(findings, 'disk', /store/)).toMatchObject([{ grade: 'ok', cause: 'the store is whole' }])
  expect(of(findings, 'listeners', /^mqtt/)).toMatchObject([
    { grade: 'skip', cause: expect.stringContaining('not run') },
  ])
  const squatter = createServer().listen(gateway.port, '127.0.0.1')
  try {
    const [taken] = of(await doctor(gateway), 'listeners', /^mqtt/)
    expect(taken).toMatchObject({ grade: 'fail' })
    expect(taken?.cause).toMatch(new RegExp(`\\(process ${process.pid}\\) has port ${gateway.port}$`))
  } finally {
    squatter.close()
  }
})

test('a gateway that runs and does not answer commands is not taken for a stranger', async () => {
  await using gateway = await startGateway({ config: 'name: Test' })
  await rm(join(gateway.dataDir, 'control.sock'))
  const findings = await doctor(gateway)
  const cause = 'a gateway runs there that does not answer commands'
  expect(of(findings, 'listeners', /^mqtt/)).toMatchObject([{ grade: 'warn', cause }])
  expect(of(findings, 'disk', /store/)).toMatchObject([{ grade: 'skip', cause: expect.stringContaining('in use') }])
})

test('a listener at an address that this machine does not have', async () => {
  await using gateway = await prepareGateway({
    config: "listeners: [{ url: 'mqtt://192.0.2.1:1883', access: { allow_anonymous: true } }]",
  })
  const [, listener] = of(await doctor(gateway), 'listeners', /192/)
  expect(listener).toMatchObject({ grade: 'fail', cause: 'this machine has no address 192.0.2.1' })
})

test('a configuration with faults: each with its place', async () => {
  await using gateway = await prepareGateway({ config: 'name: Test' })
  await writeFile(join(gateway.folder, 'larder.yaml'), 'name: Test\nlisteners: [mqt://x]\nbridges: 3\n')
  const faults = of(await doctor(gateway), 'config')
  expect(faults.map(({ grade, cause }) => [grade, /larder\.yaml:(\d+):/.exec(cause)?.[1]])).toEqual([
    ['fail', '2'],
    ['fail', '3'],
  ])
})

test.skipIf(!needs('mosquitto'))('bridges: what stands between them and their upstream', async () => {
  const cloud = await startMosquitto({ users: { pi: 'right' } })
  const authority = await Authority.make(folder, 'cloud')
  const stranger = await Authority.make(folder, 'stranger')
  const { cert, key } = await authority.issue({ expired: true })
  const tlsPort = await freePort()
  const secure = await startMosquitto({
    config: [`listener ${tlsPort} 127.0.0.1`, `certfile ${cert}`, `keyfile ${key}`],
  })
  const closed = await freePort()
  const bridge = (name: string, url: string, more = '') =>
    `  - { name: ${name}, url: '${url}', out: [{ filter: '#' }]${more} }\n`
  const there = `mqtt://127.0.0.1:${cloud.port}`
  try {
    await using gateway = await startGateway({
      config: `bridges:
${bridge('good', there, ', username: pi, password: right')}${bridge('wrong', there, ', username: pi, password: wrong')}${bridge('closed', `mqtt://127.0.0.1:${closed}`)}${bridge('unknown', 'mqtt://no.such.host.invalid')}${bridge('expired', `mqtts://127.0.0.1:${tlsPort}`, `, tls: { ca: ${authority.cert} }`)}${bridge('stranger', `mqtts://127.0.0.1:${tlsPort}`, `, tls: { ca: ${stranger.cert} }`)}`,
    })
    const cloudOf = async (name: string) => of(await doctor(gateway), 'cloud', new RegExp(`^${name}$`))
    await until(async () => (await cloudOf('good'))[0]?.cause === 'it is connected', {
      what: 'the bridge to be connected',
      timeout: 30_000,
      every: 500,
    })
    const findings = await doctor(gateway)
    const causes = (name: string) =>
      of(findings, 'cloud', new RegExp(`^${name}$`)).map(({ grade, cause }) => `${grade} ${cause}`)
    expect(causes('wrong')[0]).toMatch(/^fail the upstream (refuses the user name|does not let)/)
    expect(causes('closed')[0]).toBe(`fail nothing listens at 127.0.0.1:${closed}`)
    expect(causes('unknown')[0]).toMatch(
      /^fail the name in no\.such\.host\.invalid:1883 (is not known|cannot be looked up)/,
    )
    expect(causes('expired')[0]).toMatch(/^fail .*expired/)
    expect(causes('stranger')[0]).toMatch(/^fail /)
    // The doctor has not taken the place of the bridge.
    expect(causes('good')).toEqual(['ok it is connected'])
    await gateway.stop()
    const stopped = of(await doctor(gateway), 'cloud', /^good$/)
    expect(stopped).toMatchObject([{ grade: 'ok', cause: expect.stringContaining('lets the bridge in') }])
  } finally {
    await cloud.remove()
    await secure.remove()
  }
})
