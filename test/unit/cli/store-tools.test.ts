import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { StoreDependencies } from '../../../src/cli/store/access.ts'
import { storeCompactCommand } from '../../../src/cli/store/compact.ts'
import { storeDumpCommand } from '../../../src/cli/store/dump.ts'
import { storeExportCommand } from '../../../src/cli/store/export.ts'
import { storeImportCommand } from '../../../src/cli/store/import.ts'
import { storeStatsCommand } from '../../../src/cli/store/stats.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { encodeForwarded } from '../../../src/mqtt/publish-properties.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import { importStore } from '../../../src/store/importing.ts'
import { openTools } from '../../../src/store/tools.ts'
import { testStore } from '../../support/store.ts'
import { Terminal } from './terminal.ts'

let cwd: string
let printed: Buffer[]
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-store-tools-'))
  writeFileSync(join(cwd, 'larder.yaml'), 'data_dir: data\n')
  printed = []
})
afterEach(() => rmSync(cwd, { recursive: true }))

function terminal(): Terminal {
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      printed.push(chunk)
      done()
    },
  })
  const deps: StoreDependencies = {
    checks: { cron: () => undefined },
    open: dataDir => openTools(dataDir, systemClock),
    import: importStore,
    streams: { stdin: process.stdin, stdout },
  }
  const commands = {
    'store stats': storeStatsCommand(deps),
    'store dump': storeDumpCommand(deps),
    'store compact': storeCompactCommand(deps),
    'store export': storeExportCommand(deps),
    'store import': storeImportCommand(deps),
  }
  return new Terminal({ commands, cwd })
}

/** Runs a command that must succeed; gives the lines that it printed. */
async function done(...argv: string[]): Promise<string[]> {
  const here = terminal()
  expect([await here.run('store', ...argv), here.err]).toEqual([0, []])
  return here.out
}

/** Runs one that must fail; gives its complaint. */
async function refused(...argv: string[]): Promise<string> {
  const here = terminal()
  const status = await here.run('store', ...argv)
  expect([status, here.out]).toEqual([1, []])
  return here.err.join('\n')
}

async function dumped(...flags: string[]): Promise<Record<string, unknown>[]> {
  printed = []
  await done('dump', ...flags)
  const lines = Buffer.concat(printed).toString().split('\n').filter(Boolean)
  // The time of the store goes on with each opening.
  return lines.map(line => JSON.parse(line)).map(({ age, ...rest }) => rest)
}

const BINARY = Buffer.from([0xff, 0x00, 0x01])
/** Larger than a page of the disk, so that an export has blocks of several sizes. */
const LARGE = Buffer.from(randomBytes(350_000).toString('hex'))

/** Two sessions: what is on `bread` waits for both, what is on `milk` for the first. Some of it is retained; one has a will. */
async function fill(dataDir = join(cwd, 'data')): Promise<void> {
  const store = testStore(dataDir)
  await store.setup({ id: 'rig' })
  const queues = [await store.queues.open('attic'), await store.queues.open('cellar')]
  await store.addSubscriptions({ id: 'attic' }, [{ topic: '#', qos: 1 }])
  await store.addSubscriptions({ id: 'cellar' }, [{ topic: 'bread/+', qos: 2 }])
  const forwarded = encodeForwarded({ contentType: 'text/plain', userProperties: [['baker', 'Ann']] })
  for (const [topic, payload, qos] of [
    ['bread/rye', Buffer.from('fresh'), 1],
    ['milk', BINARY, 1],
    ['bread/large', LARGE, 2],
  ] as const) {
    const message = Message.of({ topic, payload, qos, retain: false, forwarded })
    const targets = queues
      .slice(0, topic === 'milk' ? 1 : 2)
      .map(queue => ({ queue, grants: grantsOf([{ topic, qos }]), isShared: false }))
    await new Promise<void>((settled, fail) => store.queues.accept(message, targets, { settled, refused: fail }))
  }
  for (const [topic, qos] of [
    ['jam', 1],
    ['tea', 0],
  ] as const) {
    await store.storeRetained({ topic, payload: Buffer.from(`<${topic}>`), qos, retain: true })
  }
  await store.putWill({ id: 'attic' }, { topic: 'gone', payload: Buffer.from('bye'), qos: 1, retain: false } as never)
  await store.destroy()
}

test('dump: everything, in the order of delivery; filters by topic and client; a limit', async () => {
  await fill()
  const everything = await dumped()
  const large = LARGE.toString()
  const properties = { contentType: 'text/plain', userProperties: [['baker', 'Ann']] }
  const rye = { topic: 'bread/rye', qos: 1, retain: false, properties, payload: 'fresh' }
  const milk = { topic: 'milk', qos: 1, retain: false, properties, payload_base64: BINARY.toString('base64') }
  const loaf = { topic: 'bread/large', qos: 2, retain: false, properties, payload: large }
  const jam = { type: 'retained', topic: 'jam', qos: 1, retain: true, payload: '<jam>' }
  const tea = { type: 'retained', topic: 'tea', qos: 0, retain: true, payload: '<tea>' }
  const waitingAttic = [rye, milk, loaf].map((message, i) => ({
    type: 'waiting',
    client: 'attic',
    place: i + 1,
    index: i,
    ...message,
  }))
  expect(everything).toMatchObject([
    { type: 'session', client: 'attic', expires_after: null, messages: 3 },
    { type: 'session', client: 'cellar', expires_after: null, messages: 2 },
    { type: 'subscription', client: 'attic', filter: '#', qos: 1 },
    { type: 'subscription', client: 'cellar', filter: 'bread/+', qos: 2 },
    ...waitingAttic,
    { type: 'waiting', client: 'cellar', place: 1, index: 0, ...rye },
    { type: 'waiting', client: 'cellar', place: 2, index: 1, ...loaf },
    { type: 'will', client: 'attic', topic: 'gone', qos: 1, payload: 'bye' },
    jam,
    tea,
  ])
  expect(await dumped('--topic', 'bread/#')).toEqual(everything.filter(({ topic }) => `${topic}`.startsWith('bread/')))
  expect(await dumped('--client', 'cellar')).toEqual(everything.filter(({ client }) => client === 'cellar'))
  expect(await dumped('--client', 'attic', '--topic', 'milk')).toEqual([waitingAttic[1]])
  expect(await dumped('--limit', '3')).toEqual(everything.slice(0, 3))
})

test.each([
  ['--limit', '0'],
  ['--limit', 'many'],
  ['--topic', 'a/#/b'],
])('dump %s %s is not understood', async (...flags) => {
  const here = terminal()
  expect(await here.run('store', 'dump', ...flags)).toBe(2)
  expect(here.err).toHaveLength(1)
})

test('stats: what was put in; for a person and for a program', async () => {
  await fill()
  const [line = ''] = await done('stats', '--json')
  const each = (topic: string, payload: number) => 2 + topic.length + payload
  const statistics = JSON.parse(line)
  expect(statistics).toMatchObject({
    sessions: 2,
    subscriptions: 2,
    waiting: { messages: 5, oldest: expect.any(Number) },
    retained: { messages: 2, bytes: each('jam', 5) + each('tea', 5) },
    wills: 1,
    packetIdentifiers: 0,
  })
  expect(statistics.waiting.bytes).toBeGreaterThan(2 * LARGE.length)
  expect(statistics.files.bytes).toBeGreaterThan(LARGE.length)
  expect(statistics.levels.map((each: { bytes: number }) => each.bytes).every((size: number) => size > 0)).toBe(true)
  const text = (await done('stats')).join('\n')
  expect(text).toMatch(/^sessions +2, with 2 subscriptions$/m)
  expect(text).toMatch(/^waiting +5 messages, 1\.3 MiB/m)
})

test('export and import: another machine has everything, in the same order', async () => {
  await fill()
  const before = await dumped()
  expect(await done('export', 'larder.backup')).toEqual([
    'larder: exported 685 KiB to larder.backup',
    expect.stringContaining('larder.yaml, password files and certificates are not in it'),
  ])
  expect(readdirSync(cwd).sort()).toEqual(['data', 'larder.backup', 'larder.yaml'])
  await done('import', '--data-dir', 'other', 'larder.backup')
  expect(await dumped('--data-dir', 'other')).toEqual(before)
  // And it is one that opens without a complaint.
  const store = testStore(join(cwd, 'other'))
  await store.setup({ id: 'rig' })
  expect(store.opening.state).toBe('whole')
  expect(store.stats).toMatchObject({ sessions: 2, messages: 5, retained: 2, damaged: 0 })
  await store.destroy()
})

test('import: not over a store that is there; with --replace, which keeps it', async () => {
  await fill()
  const before = await dumped()
  await done('export', 'a.backup')
  await fill(join(cwd, 'other'))
  expect(await refused('import', '--data-dir', 'other', 'a.backup')).toMatch(/^larder: STORE_EXISTS: .*--replace/)
  const [, kept = ''] = await done('import', '--data-dir', 'other', '--replace', 'a.backup')
  expect(kept).toContain(join(cwd, 'other', 'store.replaced-1'))
  expect(readdirSync(join(cwd, 'other')).filter(name => !name.endsWith('reserve'))).toEqual([
    'store',
    'store.replaced-1',
  ])
  expect(await dumped('--data-dir', 'other')).toEqual(before)
})

test('a gateway that runs keeps its store to itself', async () => {
  await fill()
  await done('export', 'a.backup')
  const store = testStore(join(cwd, 'data'))
  await store.setup({ id: 'rig' })
  try {
    expect(await refused('import', '--replace', 'a.backup')).toMatch(/^larder: STORE_LOCKED: /)
    // It does not answer commands: then nobody reads its files either.
    expect(await refused('stats')).toMatch(/^larder: STORE_LOCKED: /)
  } finally {
    await store.destroy()
  }
})

test('an export that is cut or changed anywhere changes nothing', { timeout: 60_000 }, async () => {
  await fill()
  const before = await dumped()
  await done('export', 'a.backup')
  const whole = readFileSync(join(cwd, 'a.backup'))
  const damages: Buffer[] = []
  for (let i = 0; i <= 12; i++) damages.push(whole.subarray(0, Math.floor((i * (whole.length - 1)) / 12)))
  // From the header to the checksum at the end.
  for (const at of [3, 20, 130, 200, 5_000, whole.length - 40, whole.length - 34, whole.length - 1]) {
    const changed = Buffer.from(whole)
    changed[at] = (changed[at] as number) ^ 0x10
    damages.push(changed)
  }
  for (const damage of damages) {
    writeFileSync(join(cwd, 'damaged'), damage)
    expect(await refused('import', '--replace', 'damaged')).toMatch(/^larder: ARCHIVE_INVALID: /)
    expect(readdirSync(join(cwd, 'data')).filter(name => !name.endsWith('reserve'))).toEqual(['store'])
  }
  expect(await dumped()).toEqual(before)
})

test('an import that a power cut interrupts is taken up or was never there', async () => {
  await fill()
  await done('export', 'a.backup')
  await fill(join(cwd, 'other'))
  const [data, other] = [join(cwd, 'data'), join(cwd, 'other')]
  const replaced = await dumped('--data-dir', 'other')
  // Cut before all had come: what is there is garbage.
  renameSync(join(other, 'store'), join(data, 'store.importing'))
  const before = await dumped()
  expect(before.length).toBeGreaterThan(0)
  expect(existsSync(join(data, 'store.importing'))).toBe(true)
  // Cut after all had come: whoever opens the store next finishes it.
  renameSync(join(data, 'store.importing'), join(data, 'store.imported'))
  const store = testStore(data)
  await store.setup({ id: 'rig' })
  await store.destroy()
  expect(readdirSync(data).filter(name => !name.endsWith('reserve'))).toEqual(['store', 'store.replaced-1'])
  expect(await dumped()).toEqual(replaced)
  // Cut between the two renames.
  renameSync(join(data, 'store'), join(data, 'store.imported'))
  expect(await dumped()).toEqual(replaced)
})

test('compact: what was deleted takes no space any more', async () => {
  const store = testStore(join(cwd, 'data'))
  const retained = { topic: 'large', qos: 1, retain: true } as const
  await store.setup({ id: 'rig' })
  await store.storeRetained({ ...retained, payload: LARGE })
  await store.destroy()
  await store.setup({ id: 'rig' })
  await store.storeRetained({ ...retained, payload: Buffer.alloc(0) })
  await store.destroy()
  const [line = ''] = await done('compact')
  expect(line).toMatch(/^larder: the store took .* and takes [\d.]+ (B|[KM]iB)$/)
  const { files } = JSON.parse((await done('stats', '--json'))[0] ?? '')
  expect(files.bytes).toBeLessThan(LARGE.length / 2)
})

test('an export of a store in use: also what a loss window lets wait', async () => {
  const store = testStore(join(cwd, 'data'), { durability: { window: 3_600_000, rules: [] }, commitDelay: 60_000 })
  await store.setup({ id: 'rig' })
  try {
    const queue = await store.queues.open('attic')
    const targets = [{ queue, grants: grantsOf([{ topic: 'x', qos: 1 }]), isShared: false }]
    for (let i = 0; i < 12; i++) {
      // Less than makes the store write them by itself, more than a batch takes.
      const message = Message.of({ topic: 'x', payload: Buffer.alloc(600_000, i), qos: 1, retain: false })
      await new Promise<void>((settled, fail) => store.queues.accept(message, targets, { settled, refused: fail }))
    }
    await importStore({ dataDir: join(cwd, 'other'), input: store.tools.export('test'), replace: false })
    expect((await dumped('--data-dir', 'other', '--topic', 'x')).map(({ place }) => place)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
  } finally {
    await store.destroy()
  }
})

test('no store yet, no such file, nowhere to write', async () => {
  expect(await refused('stats')).toMatch(/there is no store in .*data yet$/)
  await fill()
  expect(await refused('import', '--replace', 'nothing.backup')).toMatch(
    /^larder: nothing\.backup cannot be read: ENOENT/,
  )
  expect(await refused('export', 'no/such/folder/x')).toMatch(/^larder: no\/such\/folder\/x cannot be written: ENOENT/)
  const here = terminal()
  expect(await here.run('store', 'export')).toBe(2)
  expect(await here.run('store', 'import')).toBe(2)
})
