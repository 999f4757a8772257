/** The web page's server, over real HTTP against a built gateway: who may come, what is shown, what can be done. */

import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { addressOf, DashboardClient, startWithDashboard } from '../support/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { larder, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { openPty } from '../support/pty.ts'
import { until } from '../support/wait.ts'

const DEVICES = 'devices: [{ name: Gateway, system: { every: 200ms } }]\n'

test('shows clients, what they do, and the log', async () => {
  await using rig = await startWithDashboard({ config: DEVICES })
  await using client = await RawClient.connect({ port: rig.gateway.port, clientId: 'kitchen', clean: false })
  await client.subscribe({ topic: 'a/#', qos: 1 })
  await using stream = await rig.page.events('overview,clients,health,log,home,devices')
  const hello = stream.events[0] ?? (await until(() => stream.events[0], { what: 'hello' }))
  expect(hello).toMatchObject({ name: 'hello', data: { name: 'Larder', firstRun: false } })
  const seen = await stream.when('clients', clients => clients.find(({ id }) => id === 'kitchen'))
  expect(seen).toMatchObject({
    connected: true,
    clean: false,
    address: '127.0.0.1',
    subscriptions: [{ filter: 'a/#', qos: 1 }],
    waiting: 0,
  })
  expect(Math.abs((seen.since ?? 0) - Date.now())).toBeLessThan(30_000)
  await client.disconnect()
  await stream.when('clients', clients => clients.find(({ id, connected }) => id === 'kitchen' && !connected))
  await using other = await RawClient.connect({ port: rig.gateway.port })
  await other.publish('a/b', 'x', { qos: 1 })
  const away = await stream.when('clients', clients =>
    clients.find(({ id, waiting }) => id === 'kitchen' && waiting === 1),
  )
  expect(away.subscriptions).toEqual([{ filter: 'a/#', qos: 1 }])
  await stream.when(
    'overview',
    ({ clients, waiting, troubles }) => clients === 1 && waiting === 1 && troubles.length === 0,
  )
  const health = await stream.when('health', health => (health.disk.size > 0 ? health : undefined))
  expect(health.store).toMatchObject({ kind: 'leveldb', state: 'whole', messages: 1, lossWindow: 0 })
  expect(health.listeners).toContainEqual({ address: `mqtt://127.0.0.1:${rig.gateway.port}`, open: true })
  const room = await stream.when('home', ([room]) =>
    room?.things[0]?.values.some(({ value }) => value !== undefined) ? room : undefined,
  )
  expect(room).toMatchObject({ name: 'Larder', things: [{ id: 'Larder/Gateway', state: 'online', period: 200 }] })
  expect(room.things[0]?.values.map(({ name }) => name)).toContain('load_1m')
  await stream.when('devices', ([device]) => (device?.readings ?? 0) > 2)
  const drawn = await stream.when(
    'home',
    ([room]) => room?.things[0]?.values.find(({ spark }) => spark?.length),
    30_000,
  )
  expect(drawn).toMatchObject({ series: `Larder/Gateway#${drawn.name}`, sparkStep: 60_000 })
  const history = await rig.page.get(`/api/history?series=${encodeURIComponent(drawn.series ?? '')}`)
  expect(history.body).toMatchObject({ step: 60_000, points: drawn.spark })
  expect((await rig.page.get('/api/history?series=x')).status).toBe(404)
  expect(stream.all('log').map(({ text }) => text)).toContainEqual(expect.stringMatching(/^the web page is open/))
})

test('what clients call themselves and subscribe to is not sent at any length', async () => {
  await using rig = await startWithDashboard()
  await using stream = await rig.page.events('clients')
  await using client = await RawClient.connect({ port: rig.gateway.port, clientId: 'talkative' })
  // As JSON each character is six.
  for (let i = 0; i < 20; i++) await client.subscribe({ topic: `${i}`.padEnd(60_000, '\u0001'), qos: 0 })
  const seen = await stream.when('clients', clients =>
    clients.find(({ id, subscriptions }) => id === 'talkative' && subscriptions.length === 20),
  )
  for (const { filter } of seen.subscriptions) expect(filter.length).toBe(200)
})

test('the tree of topics: what is retained at first, then what comes, and what goes', async () => {
  await using rig = await startWithDashboard()
  await using client = await RawClient.connect({ port: rig.gateway.port })
  await client.publish('kept', 'bread', { qos: 1, retain: true })
  await using stream = await rig.page.events('topics')
  const kept = await until(() => stream.all('topics').find(({ topic }) => topic === 'kept'), {
    what: 'what is retained',
  })
  expect(kept).toMatchObject({ payload: 'bread', size: 5, retained: true })
  await client.publish('bytes', Buffer.from([0xff, 0, 1]), { qos: 1 })
  const bytes = await until(() => stream.all('topics').find(({ topic }) => topic === 'bytes'), { what: 'bytes' })
  expect(bytes).toMatchObject({ payload: '/wAB', base64: true, size: 3, retained: false, qos: 1, count: 1 })
  await client.publish('kept', '', { qos: 1, retain: true })
  await until(() => stream.all('removed').includes('kept'), { what: 'the topic that is gone' })
  await until(() => stream.all('topics').some(({ topic }) => topic.startsWith('$SYS/')), { what: '$SYS' })
})

test('actions: publish, clear and take back, disconnect, drop, reload', async () => {
  await using rig = await startWithDashboard({ config: DEVICES })
  const { page, gateway } = rig
  await using client = await RawClient.connect({
    port: gateway.port,
    clientId: 'five',
    clean: false,
    protocolVersion: 5,
  })
  await client.subscribe({ topic: 'from/page', qos: 1 })
  const publish = { topic: 'from/page', payload: 'grüße', qos: 1, retain: true }
  expect(await page.post('/api/publish', publish)).toMatchObject({ status: 200 })
  await client.received(1)
  expect(client.publishes.map(({ topic, payload }) => [topic, payload.toString()])).toEqual([['from/page', 'grüße']])

  const cleared = await page.post('/api/clear', { topics: ['from/page', 'nothing/here'] })
  expect(cleared.body.message).toBe('1 retained value was cleared')
  const undone = await page.post('/api/unclear', { token: cleared.body.token })
  expect(undone.body.message).toBe('1 put back')
  expect((await page.post('/api/unclear', { token: cleared.body.token })).status).toBe(410)
  await using late = await RawClient.connect({ port: gateway.port })
  await late.subscribe({ topic: 'from/page', qos: 0 })
  await late.received(1)
  expect(late.payloads).toEqual(['grüße'])

  for (const [action, body, status] of [
    ['publish', { ...publish, topic: 'a/#' }, 400],
    ['publish', { ...publish, topic: '$SYS/broker/uptime' }, 400],
    ['publish', { ...publish, qos: 3 }, 400],
    ['publish', [], 400],
    ['clear', { topics: 'all' }, 400],
    ['disconnect', { client: 'nobody' }, 404],
    ['drop', { client: 'nobody' }, 404],
    ['drop', { client: '$bridge/cloud' }, 404],
    ['pause', { bridge: 'nobody' }, 404],
    ['poll', { device: 'Larder/nothing' }, 404],
    ['nonsense', {}, 404],
  ] as const) {
    expect([action, (await page.post(`/api/${action}`, body)).status]).toEqual([action, status])
  }
  expect((await page.post('/api/poll', { device: 'Larder/Gateway' })).status).toBe(200)

  expect((await page.post('/api/drop', { client: 'five' })).status).toBe(200)
  expect((await page.post('/api/drop', { client: 'five' })).status).toBe(404)
  await using again = await RawClient.connect({
    port: gateway.port,
    clientId: 'five',
    clean: false,
    protocolVersion: 5,
  })
  expect(again.sessionPresent).toBe(false)

  const reloaded = await page.post('/api/reload', {})
  expect([reloaded.status, reloaded.body.message]).toEqual([200, 'reloaded'])
  await writeFile(join(gateway.folder, 'larder.yaml'), 'devices: 7\n')
  expect((await page.get('/api/config')).body).toMatchObject({ changed: true, text: 'devices: 7\n' })
  const { faults } = (await page.post('/api/config/check', {})).body
  expect(faults[0].place).toMatch(/larder\.yaml:1:10$/)
  expect((await page.post('/api/reload', {})).status).toBe(409)
  expect((await page.get('/api/discover')).body).toHaveProperty('ports')
})

async function passwordFile(...users: [string, string][]): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), 'larder-people-')), 'people')
  onTestFinished(() => rm(dirname(file), { recursive: true }))
  for (const [index, [user, password]] of users.entries()) {
    const create = index === 0 ? ['-c'] : []
    const { code, errors } = await larder(['passwd', '-b', ...create, file, user, password])
    expect([code, errors]).toEqual([0, []])
  }
  return file
}

test('who may: whoever has a password, until that is changed', async () => {
  const file = await passwordFile(['ada', 'lovelace'], ['bob', 'builder'])
  await using rig = await startWithDashboard({ dashboard: `users: '${file}'` })
  const { page } = rig
  expect((await page.get('/api/session')).body).toEqual({ needsLogin: true })
  for (const path of ['events?of=overview', 'history?series=x', 'config', 'discover', 'doctor', 'backup']) {
    expect([path, (await page.get(`/api/${path}`)).status]).toEqual([path, 401])
  }
  for (const action of ['publish', 'reload', 'drop', 'config/check', 'restore']) {
    expect([action, (await page.post(`/api/${action}`, {})).status]).toEqual([action, 401])
  }
  expect((await page.login('ada', 'byron')).status).toBe(401)
  expect((await page.login('eve', 'lovelace')).status).toBe(401)
  const { status, headers } = await page.login('ada', 'lovelace')
  expect(status).toBe(204)
  expect(headers.get('set-cookie')).toMatch(
    /^larder_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  )
  expect((await page.get('/api/session')).body).toEqual({ needsLogin: true, user: 'ada' })
  const bob = new DashboardClient(page.url)
  await bob.login('bob', 'builder')
  await using hers = await page.events('overview')
  await using his = await bob.events('overview')
  await hers.when('overview', () => true)
  // Only who is concerned must log in again.
  await larder(['passwd', '-b', file, 'ada', 'babbage'])
  expect((await bob.post('/api/reload', {})).status).toBe(200)
  await until(() => hers.hasEnded, { what: 'the end of her stream' })
  expect((await page.get('/api/config')).status).toBe(401)
  expect([his.hasEnded, (await bob.get('/api/config')).status]).toEqual([false, 200])
  expect((await bob.ask('DELETE', '/api/session')).status).toBe(204)
  await until(() => his.hasEnded, { what: 'the end of his stream' })
  expect((await bob.get('/api/config')).status).toBe(401)
})

test('guessing is slow', async () => {
  const file = await passwordFile(['ada', 'lovelace'])
  await using rig = await startWithDashboard({ dashboard: `users: '${file}'` })
  const statuses: number[] = []
  for (let i = 0; i < 40; i++) {
    void rig.page.login('ada', `${i}`).then(
      ({ status }) => statuses.push(status),
      () => {},
    )
  }
  await until(() => statuses.includes(429) && statuses.includes(401), {
    what: () => `a guess turned away: ${statuses}`,
  })
})

/** A request with a head that `fetch` would not send. */
async function head(url: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<number> {
  return await new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, response => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    asked.on('error', reject).end(body)
  })
}

test('answers to no name but its own, and changes nothing for another site', async () => {
  await using rig = await startWithDashboard({ dashboard: 'names: [house.example.org]' })
  const { url } = rig.page
  const port = new URL(url).port
  const hosts: [string, number][] = [
    [`127.0.0.1:${port}`, 200],
    [`localhost:${port}`, 200],
    [`192.168.7.9:${port}`, 200],
    ['[fe80::1]', 200],
    ['larder.local', 200],
    ['House.Example.org', 200],
    ['example.org', 421],
    [`localhost.example.org:${port}`, 421],
    ['127.0.0.1.example.org', 421],
  ]
  for (const [host, status] of hosts) {
    expect([host, await head(`${url}/api/session`, { Host: host })]).toEqual([host, status])
  }
  const json = { 'Content-Type': 'application/json' }
  const own = `http://127.0.0.1:${port}`
  const posts: [Record<string, string>, number][] = [
    [json, 200],
    [{ ...json, Origin: own, 'Sec-Fetch-Site': 'same-origin' }, 200],
    [{ ...json, Origin: 'http://evil.example' }, 403],
    [{ ...json, Origin: 'null' }, 403],
    [{ ...json, Origin: own, 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ 'Content-Type': 'text/plain' }, 415],
    [{}, 415],
  ]
  const body = JSON.stringify({ topic: 'a', payload: '', qos: 0, retain: false })
  for (const [headers, status] of posts) {
    expect([headers, await head(`${url}/api/publish`, headers, 'POST', body)]).toEqual([headers, status])
  }
  expect(await head(`${url}/api/events`, { 'Sec-Fetch-Site': 'cross-site' })).toBe(403)
  expect(await head(`${url}/`, { 'Sec-Fetch-Site': 'cross-site' })).toBe(200)
})

test('serves its files with strict heads, and no others', async () => {
  await using rig = await startWithDashboard()
  const { page } = rig
  const index = await page.get('/')
  expect(index.status).toBe(200)
  expect(index.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
  expect(index.headers.get('x-content-type-options')).toBe('nosniff')
  const tag = index.headers.get('etag') ?? ''
  expect((await page.get('/', { 'If-None-Match': tag })).status).toBe(304)
  for (const path of [
    '/larder.yaml',
    '/../larder.js',
    '/%2e%2e/larder.js',
    '/index.html.gz',
    '/x.js',
    '/api/nothing',
  ]) {
    expect([path, (await page.get(path)).status]).toEqual([path, 404])
  }
  expect((await page.ask('PUT', '/')).status).toBe(405)
  expect((await page.ask('PUT', '/api/config')).status).toBe(405)
  const long = await page.post('/api/publish', { topic: 'a', payload: 'x'.repeat(1_100_000), qos: 0, retain: false })
  expect(long.status).toBe(413)
})

test('a default address that is taken is given up; one that was asked for is a fault', async () => {
  await using rig = await startWithDashboard()
  const { port } = new URL(rig.page.url)
  const config = `dashboard: { listen: '127.0.0.1:${port}' }`
  await using second = await startGateway({ config, waitReady: false })
  expect((await second.exit).code).toBe(1)
  expect(second.stderr).toContain('LISTEN_IN_USE')
  // The default one, whoever has it.
  const other = createServer().on('error', () => {})
  onTestFinished(() => void other.close())
  other.listen(8080, '127.0.0.1')
  await using third = await startGateway({ config: 'dashboard: {}\n' })
  expect(third.stderr).toContain('there is no web page')
})

test('over TLS', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'larder-authority-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const { cert, key } = await (await Authority.make(folder, 'home')).server()
  await using rig = await startWithDashboard({
    dashboard: `tls: { cert: '${cert}', key: '${key}' }, users: '${await passwordFile(['ada', 'lovelace'])}'`,
  })
  expect(rig.page.url).toMatch(/^https:/)
  const { port } = new URL(rig.page.url)
  const socket = connectTls({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  const login = JSON.stringify({ user: 'ada', password: 'lovelace' })
  const head = `Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${login.length}`
  socket.write(`POST /api/session HTTP/1.1\r\n${head}\r\n\r\n${login}`)
  const answer = Buffer.concat(await socket.toArray()).toString()
  expect(answer).toMatch(/^HTTP\/1.1 204 /)
  expect(answer).toMatch(/^Set-Cookie: larder_session=\S+; .*; Secure\r$/im)
})

test('a reload moves the page, and a fault leaves it where it is', async () => {
  await using rig = await startWithDashboard()
  const { page, gateway } = rig
  const file = join(gateway.folder, 'larder.yaml')
  const before = await readFile(file, 'utf8')
  const write = (more: string) => writeFile(file, before.replace(/^dashboard:.*$/m, `dashboard: { ${more} }`))
  await write("listen: '127.0.0.1:0', users: nobody-there")
  expect((await page.post('/api/reload', {})).status).toBe(409)
  expect((await page.get('/api/session')).body).toEqual({ needsLogin: false })
  await write(`listen: '127.0.0.1:${new URL(page.url).port}', names: [a.example]`)
  const signal = () => process.kill(gateway.pid, 'SIGHUP')
  signal()
  await until(() => gateway.stderr.includes('larder: reloaded'), { what: 'the reload' })
  await until(
    () =>
      head(`${page.url}/api/session`, { Host: 'a.example' }).then(
        status => status === 200,
        () => false,
      ),
    {
      what: 'the page at its new address',
    },
  )
  await write('listen: off')
  signal()
  await until(
    () =>
      page.get('/').then(
        () => false,
        () => true,
      ),
    { what: 'the end of the page' },
  )
})

test('without a configuration it is the first run', async () => {
  await using gateway = await startGateway({ env: { LARDER_DASHBOARD_LISTEN: '127.0.0.1:0' } })
  const page = new DashboardClient(await addressOf(gateway))
  await using stream = await page.events('home')
  await stream.when('home', rooms => rooms.length > 0)
  expect(stream.events[0]).toMatchObject({ name: 'hello', data: { firstRun: true } })
  expect((await page.get('/api/config')).body).toEqual({ text: '', changed: false })
})

test('bridges: what waits, why, and rests when it is told to', async () => {
  const port = await freePort()
  const bridge = `bridges: [{ name: cloud, url: 'mqtt://127.0.0.1:${port}', retry: { min: 100ms, max: 200ms }, out: [{ filter: 'up/#', qos: 1 }] }]\n`
  await using rig = await startWithDashboard({ config: bridge })
  await using stream = await rig.page.events('bridges,overview')
  const lost = await stream.when('bridges', ([cloud]) => (cloud?.state === 'waiting' ? cloud : undefined))
  expect(lost).toMatchObject({ name: 'cloud', address: `mqtt://127.0.0.1:${port}`, waiting: 0, dead: 0 })
  expect(lost.lastError).toContain(`127.0.0.1:${port}`)
  await using client = await RawClient.connect({ port: rig.gateway.port })
  await client.publish('up/a', 'x', { qos: 1 })
  await stream.when('bridges', ([cloud]) => cloud?.waiting === 1)
  expect((await rig.page.get('/api/dead?bridge=cloud')).body).toEqual([])
  expect((await rig.page.get('/api/dead?bridge=other')).status).toBe(404)
  expect((await rig.page.post('/api/pause', { bridge: 'cloud' })).status).toBe(200)
  await stream.when('bridges', ([cloud]) => cloud?.state === 'paused')
  await using upstream = await startGateway({ config: `listeners: ['mqtt://127.0.0.1:${port}']\n` })
  await using reader = await RawClient.connect({ port })
  await reader.subscribe({ topic: 'up/#', qos: 1 })
  expect((await rig.page.post('/api/resume', { bridge: 'cloud' })).status).toBe(200)
  await reader.received(1)
  await stream.when('bridges', ([cloud]) => cloud?.state === 'connected' && cloud.waiting === 0 && cloud.sent === 1)
  await stream.when('overview', ({ bridges }) => bridges.connected === 1)
  expect((await rig.page.post('/api/retry', { bridge: 'cloud' })).body.message).toBe('0 messages are sent again')
  void upstream
})

test('devices: where they are, what came last, and what is wrong with it', async () => {
  await using pty = await openPty()
  const serial = `devices: [{ name: Oven, room: Kitchen, serial: { path: '${pty.path}', codec: pairs } }]\n`
  await using rig = await startWithDashboard({ config: serial })
  await using stream = await rig.page.events('devices,home')
  await stream.when('devices', ([oven]) => oven?.state === 'online')
  // The first line after the opening may be half a line, and does not count.
  const speak = () => {
    pty.write('temp=21.5\r\n')
    return (stream.last('devices')?.[0]?.readings ?? 0) > 0
  }
  await until(speak, { what: 'a reading', every: 500 })
  const heard = await stream.when('devices', ([oven]) => oven)
  expect(heard).toMatchObject({ id: 'Kitchen/Oven', kind: 'serial', place: pty.path })
  expect(heard.lastFrame?.text).toMatch(/temp=21\.5\\x0d\\x0a$/)
  await stream.when('home', ([kitchen]) => kitchen?.things[0]?.values.some(({ value }) => value === 21.5))
  pty.write('\x1bnonsense\n')
  const wrong = await stream.when('devices', ([oven]) =>
    oven !== undefined && oven.faults > heard.faults ? oven : undefined,
  )
  // Several lines may come at once.
  expect(wrong.lastFrame?.text).toMatch(/\\x1bnonsense\\x0a$/)
  expect(wrong.lastFault?.reason).toBeDefined()
  const refused = await rig.page.post('/api/poll', { device: 'Kitchen/Oven' })
  expect([refused.status, refused.body.message]).toEqual([409, 'Oven cannot be polled: it reports by itself'])
})
