/**
 * A data folder whose files are damaged, each in turn and in every way: the gateway starts, serves, delivers to every
 * session only what was published to it, whole and in order, and says so when something is gone.
 */
import { createHash } from 'node:crypto'
import { chmod, cp, mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

/** With a port that is chosen at each start: free ones that are looked for before may be taken by then, with so many connections. */
const CONFIG = 'name: Test\nlog: { format: json }\nlisteners: ["mqtt://127.0.0.1:0"]'
const SEED = Number(process.env.LARDER_DAMAGE_SEED ?? 1)
/** Cases at a time: most of one is waiting. */
const AT_ONCE = 3
/** Deadline in ms for all of them on a loaded machine. */
const LONG = 300_000

/** Sessions, what they subscribe to, and what is published there: several tables of LevelDB, and a journal. */
const SESSIONS = [
  { clientId: 'attic', topic: 'attic/log', qos: 1, count: 550, bytes: 7_500 },
  { clientId: 'cellar', topic: 'cellar/log', qos: 2, count: 300, bytes: 2_500 },
  { clientId: 'hall', topic: 'hall/log', qos: 1, count: 400, bytes: 40 },
] as const
type Session = (typeof SESSIONS)[number]
/** What every session gets. */
const SHARED = { topic: 'all/log', count: 60, bytes: 300 }
const RETAINED = 40

let template: string
/** By client identifier: the payloads that wait for it, in order. */
const waiting = new Map<string, string[]>()
const retained = new Map<string, string>()
const rows: Row[] = []

/** Numbered, and told apart from everything else by its own hash. */
function payloadOf(name: string, number: number, bytes: number): string {
  const body = createHash('shake256', { outputLength: Math.ceil(bytes / 2) })
    .update(`${name} ${number}`)
    .digest('hex')
  return `${name} ${number} ${createHash('sha1').update(body).digest('hex')} ${body}`
}

beforeAll(async () => {
  await using gateway = await startGateway({ config: CONFIG })
  const subs = await Promise.all(
    SESSIONS.map(async ({ clientId, topic, qos }) => {
      waiting.set(clientId, [])
      const sub = await RawClient.connect({ port: portOf(gateway), clientId, clean: false })
      await sub.subscribe({ topic, qos }, { topic: SHARED.topic, qos }, { topic: 'fence', qos: 1 })
      return sub
    }),
  )
  for (const sub of subs) await sub.disconnect()
  const will = { topic: 'will', payload: payloadOf('will', 0, 20) }
  await using _mourned = await RawClient.connect({ port: portOf(gateway), clientId: 'mourned', clean: false, will })
  await using pub = await RawClient.connect({ port: portOf(gateway), clientId: 'writer' })
  const publish = async (topic: string, payload: string, qos: 1 | 2, to: readonly Session[]) => {
    for (const { clientId } of to) waiting.get(clientId)?.push(payload)
    await pub.publish(topic, payload, { qos })
  }
  for (let i = 0; i < RETAINED; i++) {
    const [topic, payload] = [`retained/${i}`, payloadOf('retained', i, 100)]
    retained.set(topic, payload)
    await pub.publish(topic, payload, { qos: 1, retain: true })
  }
  const most = Math.max(...SESSIONS.map(({ count }) => count))
  for (let i = 0; i < most; i++) {
    const due = SESSIONS.filter(({ count }) => i < count)
    await Promise.all(
      due.map(session => publish(session.topic, payloadOf(session.clientId, i, session.bytes), session.qos, [session])),
    )
    if (i % 10 === 0 && i < 10 * SHARED.count) {
      await publish(SHARED.topic, payloadOf('all', i, SHARED.bytes), 1, SESSIONS)
    }
  }
  await gateway.kill()
  template = await mkdtemp(join(tmpdir(), 'larder-damage-'))
  await cp(join(gateway.dataDir, 'store'), template, { recursive: true })
}, LONG)

afterAll(async () => {
  if (template !== undefined) await rm(template, { recursive: true, force: true })
  process.stdout.write(`${table()}\n`)
})

/** Where it listens since its last start. */
function portOf(gateway: Gateway): number {
  const ready = gateway.process.lines.find(line => line.startsWith('larder: ready')) ?? ''
  return Number(/mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(ready)?.[1])
}

type Damage = (path: string) => Promise<void>

const random = seeded(SEED)

function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function flip(part: number): Damage {
  return async path => {
    const file = await open(path, 'r+')
    try {
      const { size } = await file.stat()
      if (size === 0) return
      const at = Math.min(size - 1, Math.floor(size * part))
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
      buffer[0] = (buffer[0] as number) ^ (1 << Math.floor(random() * 8))
      await file.write(buffer, 0, 1, at)
    } finally {
      await file.close()
    }
  }
}

/** A sector of a card that reads as nothing, or as something else. */
function sector(part: number, fill: number): Damage {
  return async path => {
    const bytes = await readFile(path)
    const at = Math.floor((bytes.length * part) / 4096) * 4096
    await writeFile(path, bytes.fill(fill, at, Math.min(bytes.length, at + 4096)))
  }
}

/** Parts of a file: the last few percent of a table are its small records, its filter and its index. */
const FLIPS = [
  0,
  0.05 + random() * 0.2,
  0.25 + random() * 0.25,
  0.5 + random() * 0.25,
  0.75 + random() * 0.2,
  0.993,
  0.9999,
]
const SECTORS = [0, random(), 0.985, 0.996]

/** What may happen to any file, … */
const LOSSES: Readonly<Record<string, Damage>> = {
  'cut in half': async path => truncate(path, Math.floor((await stat(path)).size / 2)),
  emptied: path => truncate(path, 0),
  zeroed: async path => writeFile(path, Buffer.alloc((await stat(path)).size)),
  removed: path => rm(path),
}
/** …to one that LevelDB reads, … */
const DAMAGES: Readonly<Record<string, Damage>> = {
  ...LOSSES,
  ...Object.fromEntries(FLIPS.map(part => [`bit at ${(part * 100).toFixed(1)}%`, flip(part)])),
}
/** …and to one that is large. */
const LARGE_DAMAGES: Readonly<Record<string, Damage>> = {
  ...DAMAGES,
  ...Object.fromEntries(SECTORS.map(part => [`zeros at ${(part * 100).toFixed(1)}%`, sector(part, 0)])),
  ...Object.fromEntries(SECTORS.slice(1, 3).map(part => [`ones at ${(part * 100).toFixed(1)}%`, sector(part, 0xff)])),
}

function damagesOf(file: string): Readonly<Record<string, Damage>> {
  if (UNREAD.test(file)) return LOSSES
  return /\.(ldb|log)$/.test(file) ? LARGE_DAMAGES : DAMAGES
}

/** Files that LevelDB, and we, only look at the presence of. */
const UNREAD = /^(LOCK|LOG.*|in-use)$/

interface Row {
  readonly file: string
  readonly damage: string
  readonly kept: number
  readonly lost: number
  readonly state: string
  readonly said: string
}

function table(): string {
  const lines = rows.map(({ file, damage, kept, lost, state, said }) =>
    [
      file.padEnd(16),
      damage.padEnd(14),
      String(kept).padStart(5),
      String(lost).padStart(5),
      state.padEnd(9),
      said,
    ].join('  '),
  )
  return [`seed ${SEED}: file, damage, messages kept, lost, store, what was said`, ...lines.toSorted()].join('\n')
}

interface Line {
  readonly level: number
  readonly msg: string
  readonly reason?: string
}

/** What the gateway said since its last start at level warn or error. */
function complaints(gateway: Gateway): Line[] {
  return gateway.process.errors
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as Line)
    .filter(({ level }) => level >= 40)
}

/** The session comes back and takes everything; gives what it was sent. Acknowledges like any client, and subscribes again. */
async function drain(gateway: Gateway, { clientId, topic, qos }: Session, fence: string): Promise<string[]> {
  await using sub = await RawClient.connect({ port: portOf(gateway), clientId, clean: false })
  await sub.subscribe({ topic, qos }, { topic: SHARED.topic, qos }, { topic: 'fence', qos: 1 })
  await using pub = await RawClient.connect({ port: portOf(gateway) })
  await pub.publish('fence', fence, { qos: 1 })
  await until(() => sub.payloads.at(-1) === fence, {
    what: () => `the fence at ${clientId}; got ${sub.publishes.length} messages\n${gateway.log}`,
    timeout: 30_000,
  })
  await sub.ping()
  const sent = sub.payloads.filter(payload => !payload.startsWith('fence'))
  await sub.disconnect()
  return sent
}

/** Faults of what a session was sent: something else than was published to it, or not in order. */
function faultsOf(clientId: string, sent: readonly string[]): string[] {
  const known = new Map(waiting.get(clientId)?.map((payload, place) => [payload, place]))
  let last = -1
  return sent.flatMap(payload => {
    const place = known.get(payload)
    if (place === undefined) return [`${clientId} was sent what was never published to it: ${payload.slice(0, 60)}`]
    if (place <= last) return [`${clientId} was sent ${payload.slice(0, 20)} out of order or twice`]
    last = place
    return []
  })
}

/** A message of each kind goes through, to a session that is new. */
async function serves(gateway: Gateway): Promise<void> {
  const options = { port: portOf(gateway), clientId: 'fresh', clean: false }
  await using sub = await RawClient.connect(options)
  await sub.subscribe({ topic: 'fresh/#', qos: 2 })
  await using pub = await RawClient.connect({ port: portOf(gateway) })
  await pub.publish('fresh/1', 'one', { qos: 1 })
  await pub.publish('fresh/2', 'two', { qos: 2 })
  await sub.received(2)
  expect(sub.payloads.slice(-2)).toEqual(['one', 'two'])
  await sub.ping()
  await sub.disconnect()
}

async function retainedNow(gateway: Gateway): Promise<Map<string, string>> {
  await using sub = await RawClient.connect({ port: portOf(gateway) })
  await sub.subscribe({ topic: 'retained/#', qos: 1 })
  await sub.ping()
  return new Map(sub.publishes.map(({ topic, payload }) => [topic, payload.toString()]))
}

/** Has a gateway live through the damage that `damage` does to a copy of the folder; gives what was wrong with that. */
async function live(file: string, name: string, damage: (store: string) => Promise<void>): Promise<string[]> {
  const faults: string[] = []
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-damaged-'))
  const store = join(dataDir, 'store')
  try {
    await cp(template, store, { recursive: true })
    await damage(store)
    await using gateway = await startGateway({ config: CONFIG, dataDir })
    const state = stateOf(gateway)
    let kept = 0
    let lost = 0
    for (const session of SESSIONS) {
      const sent = await drain(gateway, session, `fence 1 ${session.clientId}`)
      faults.push(...faultsOf(session.clientId, sent))
      kept += sent.length
      lost += (waiting.get(session.clientId)?.length ?? 0) - sent.length
    }
    const kind = await retainedNow(gateway)
    for (const [topic, payload] of kind) if (retained.get(topic) !== payload) faults.push(`retained ${topic} is wrong`)
    lost += retained.size - kind.size
    await serves(gateway)
    const said = complaints(gateway)
    if (lost > 0 && said.length === 0) faults.push(`${lost} messages are gone, and nothing was said`)
    const aside = (await readdir(dataDir)).filter(entry => entry.startsWith('store.damaged-'))
    if (state !== 'whole' && aside.length === 0) faults.push('what was damaged was not set aside')
    rows.push({ file, damage: name, kept, lost, state, said: said[0]?.reason ?? said[0]?.msg ?? '' })

    await gateway.kill()
    await gateway.start()
    const again = complaints(gateway)
    if (again.length > 0) faults.push(`the next start complains: ${JSON.stringify(again)}`)
    const [, { clientId }] = SESSIONS
    faults.push(...faultsOf(clientId, await drain(gateway, SESSIONS[1], 'fence 2')))
    await serves(gateway)
    await gateway.stop()
  } catch (error) {
    faults.push(String((error as Error).stack ?? error))
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
  return faults.map(fault => `${file}, ${name}: ${fault}`)
}

function stateOf(gateway: Gateway): string {
  const said = complaints(gateway).map(({ msg }) => msg)
  if (said.some(msg => msg.includes('EMPTY'))) return 'replaced'
  return said.some(msg => msg.includes('was repaired')) ? 'repaired' : 'whole'
}

test('every file of the store, damaged in every way', { timeout: LONG }, async () => {
  const files = (await readdir(template)).sort()
  expect(files.filter(name => name.endsWith('.ldb')).length).toBeGreaterThan(1)
  const journals = files.filter(name => name.endsWith('.log'))
  for (const name of journals) expect((await readFile(join(template, name))).length).toBeGreaterThan(10_000)
  expect(journals.length).toBeGreaterThan(0)
  const cases = files.flatMap(file => Object.entries(damagesOf(file)).map(([name, damage]) => ({ file, name, damage })))
  const faults: string[] = []
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = cases.shift(); next !== undefined; next = cases.shift()) {
        const { file, name, damage } = next
        faults.push(...(await live(file, name, store => damage(join(store, file)))))
      }
    }),
  )
  expect(faults).toEqual([])
})

/** Every file of the folder whose name matches. */
async function filesIn(store: string, match: RegExp): Promise<string[]> {
  return (await readdir(store)).filter(name => match.test(name)).map(name => join(store, name))
}

const asFolder: Damage = async path => {
  await rm(path)
  await mkdir(path)
}

const WHOLE_FOLDER: Readonly<Record<string, (store: string) => Promise<void>>> = {
  'is a file': async store => {
    await rm(store, { recursive: true })
    await writeFile(store, 'no folder')
  },
  'all emptied': async store => {
    for (const file of await filesIn(store, /./)) await truncate(file, 0)
  },
  'table unreadable': async store => asFolder((await filesIn(store, /ldb$/))[0] as string),
  'journal unreadable': async store => asFolder((await filesIn(store, /log$/))[0] as string),
  'CURRENT unreadable': store => asFolder(join(store, 'CURRENT')),
  'no list, bad table': async store => {
    await rm(join(store, 'CURRENT'))
    await sector(0.5, 0)((await filesIn(store, /ldb$/))[0] as string)
  },
  'no list, half table': async store => {
    await rm(join(store, 'CURRENT'))
    const table = (await filesIn(store, /ldb$/))[1] as string
    await truncate(table, Math.floor((await stat(table)).size / 2))
  },
}

test.each(Object.keys(WHOLE_FOLDER))('the folder of the store: %s', { timeout: LONG }, async name => {
  expect(await live('the folder', name, WHOLE_FOLDER[name] as (store: string) => Promise<void>)).toEqual([])
})

test('files of wrong modes are put right (CVE-2017-9868)', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-damaged-'))
  const store = join(dataDir, 'store')
  await cp(template, store, { recursive: true })
  for (const file of await filesIn(store, /./)) await chmod(file, 0o444)
  await chmod(store, 0o777)
  try {
    await using gateway = await startGateway({ config: CONFIG, dataDir })
    expect(complaints(gateway)).toEqual([])
    expect((await stat(store)).mode & 0o777).toBe(0o700)
    for (const file of await filesIn(store, /./)) expect((await stat(file)).mode & 0o777, file).toBe(0o600)
    expect(await drain(gateway, SESSIONS[0], 'fence')).toEqual(waiting.get(SESSIONS[0].clientId))
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
})

test('damage that comes again and again is repaired each time, and the last copies are kept', {
  timeout: LONG,
}, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-damaged-'))
  const store = join(dataDir, 'store')
  await cp(template, store, { recursive: true })
  try {
    await using gateway = await startGateway({ config: CONFIG, dataDir })
    for (let i = 0; i < 4; i++) {
      await gateway.kill()
      await rm(join(store, 'CURRENT'))
      await gateway.start()
      expect(stateOf(gateway)).toBe('repaired')
    }
    for (const session of SESSIONS) {
      expect(await drain(gateway, session, `fence ${session.clientId}`)).toEqual(waiting.get(session.clientId))
    }
    expect((await readdir(dataDir)).filter(entry => entry.startsWith('store.damaged-')).length).toBe(3)
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
})
