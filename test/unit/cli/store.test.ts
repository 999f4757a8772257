import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { storeVerifyCommand } from '../../../src/cli/store/verify.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import { verifyStore } from '../../../src/store/verify.ts'
import { testStore } from '../../support/store.ts'
import { Terminal } from './terminal.ts'

let cwd: string
let dataDir: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-store-'))
  dataDir = join(cwd, 'data')
  writeFileSync(join(cwd, 'larder.yaml'), 'data_dir: data\n')
})
afterEach(() => rmSync(cwd, { recursive: true }))

function terminal(): Terminal {
  const command = storeVerifyCommand({
    checks: { cron: () => undefined },
    verify: (config, options) => verifyStore({ dataDir: config.dataDir, log: silentLog, ...options }),
  })
  return new Terminal({ commands: { 'store verify': command }, cwd })
}

async function opened(): Promise<LevelPersistence> {
  const store = testStore(dataDir)
  await store.setup({ id: 'rig' })
  return store
}

/** Two sessions with a subscription each; three messages wait for both, one for the first alone; one is retained. */
async function fill(): Promise<void> {
  const store = await opened()
  const queues = [await store.queues.open('attic'), await store.queues.open('cellar')]
  for (const id of ['attic', 'cellar']) await store.addSubscriptions({ id }, [{ topic: '#', qos: 1 }])
  for (let i = 0; i < 4; i++) {
    const message = Message.of({ topic: 'bread', payload: Buffer.from(`${i}`), qos: 1, retain: i === 0 })
    const targets = queues
      .slice(0, i < 3 ? 2 : 1)
      .map(queue => ({ queue, grants: grantsOf([{ topic: 'bread', qos: 1 }]), isShared: false }))
    await new Promise<void>((resolve, reject) => {
      store.queues.accept(message, targets, { settled: resolve, refused: reject })
    })
  }
  await store.destroy()
}

async function database<T>(work: (level: Level<Buffer, Buffer>) => Promise<T>): Promise<T> {
  const level = new Level<Buffer, Buffer>(join(dataDir, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  try {
    return await work(level)
  } finally {
    await level.close()
  }
}

/** Keys that begin with the letter. */
const keysOf = (level: Level<Buffer, Buffer>, letter: string) =>
  level.keys({ gte: Buffer.from(letter), lt: Buffer.from([letter.charCodeAt(0) + 1]) }).all()

test('a whole store: what is in it, and that it is whole', async () => {
  await fill()
  const here = terminal()
  expect(await here.run('store', 'verify')).toBe(0)
  expect(here.err).toEqual([])
  expect(here.out.map(line => line.split(/ {2,}/))).toEqual([
    ['sessions', '2'],
    ['subscriptions', '2'],
    ['waiting messages', '7'],
    ['their size in MiB', '0.0'],
    ['of them with a record of their own', '3'],
    ['packet identifiers of QoS 2', '0'],
    ['retained messages', '1'],
    ['wills', '0'],
    [`larder: the store in ${join(dataDir, 'store')} is whole`],
  ])
})

test('where there is no store, that is said, and nothing is made', async () => {
  const here = terminal()
  expect(await here.run('store', 'verify')).toBe(0)
  expect(here.out).toEqual([`larder: there is no store in ${dataDir} yet`])
  await expect(readdir(dataDir)).rejects.toThrow('ENOENT')
})

test.each([[[]], [['--dry-run']]])('a gateway that runs keeps its store to itself (%j)', async flags => {
  const store = await opened()
  const here = terminal()
  expect(await here.run('store', 'verify', ...flags)).toBe(1)
  expect(here.err).toEqual([expect.stringMatching(/^larder: STORE_LOCKED: the store in .* is in use/)])
  await store.destroy()
})

/** What is done to the records, and what is said of it. */
const HARMS: Record<string, { harm: (level: Level<Buffer, Buffer>) => Promise<void>; said: RegExp[] }> = {
  'a message is gone': {
    harm: async level => level.del((await keysOf(level, 'b'))[1] as Buffer),
    said: [
      /^2 places in a queue whose message is gone, such as place 1 of 'attic'$/,
      /^2 queues .* 3 messages wait and 4/,
    ],
  },
  'a place is gone': {
    harm: async level => level.del((await keysOf(level, 'q'))[0] as Buffer),
    said: [/^1 queues whose count, size or end is noted wrongly .*'attic': 3 messages wait and 4 are noted$/],
  },
  'both places of a message are gone': {
    harm: async level => {
      const keys = await keysOf(level, 'q')
      for (const key of [keys[0], keys[4]]) await level.del(key as Buffer)
    },
    said: [/^1 messages that nobody waits for, such as message \d+ on 'bread'$/, /^2 queues/],
  },
  'a session is gone': {
    harm: async level => level.del(Buffer.from('sattic')),
    said: [/^6 records of sessions that do not exist/],
  },
  'a bit of a retained message is turned round': {
    harm: async level => {
      const value = (await level.get(Buffer.from('rbread'))) as Buffer
      value[5] = (value[5] as number) ^ 4
      await level.put(Buffer.from('rbread'), value)
    },
    said: [/^1 records that cannot be read, such as record "rbread"$/],
  },
  'the next numbers are gone': {
    harm: async level => {
      for (const name of ['mnextSession', 'mnextMessage']) await level.del(Buffer.from(name))
    },
    said: [/^2 numbers that would be given out a second time, such as nextSession is 0, and 1 is there$/],
  },
  'the schema is damaged': {
    harm: level => level.put(Buffer.from('mschema'), Buffer.alloc(10, 7)),
    said: [/^1 records of the schema/],
  },
  'something of nobody': {
    harm: level => level.put(Buffer.from('Zebra'), Buffer.from('stripes')),
    said: [/^1 records of no kind that this version knows, such as record "Zebra"$/],
  },
  'an identifier of a client without a session': {
    harm: async level => {
      const key = Buffer.from('istranger\0\0\x07')
      const { seal } = await import('../../../src/store/seal.ts')
      await level.put(key, seal(key, Buffer.alloc(0)))
    },
    said: [/^1 records of sessions that do not exist, such as packet identifier 7 of 'stranger'$/],
  },
}

test.each(Object.keys(HARMS))('%s: said, left alone by --dry-run, mended once', async name => {
  const { harm, said } = HARMS[name] as (typeof HARMS)[string]
  await fill()
  await database(harm)
  const dry = terminal()
  expect(await dry.run('store', 'verify', '--dry-run')).toBe(1)
  const faults = dry.out.filter(line => /^\d/.test(line))
  expect(faults).toHaveLength(said.length)
  for (const [i, pattern] of said.entries()) expect(faults[i]).toMatch(pattern)
  expect(dry.out.at(-1)).toMatch(/nothing was changed \(--dry-run\)$/)

  const mending = terminal()
  expect(await mending.run('store', 'verify')).toBe(0)
  if (name !== 'the schema is damaged') expect(mending.out.filter(line => /^\d/.test(line))).toEqual(faults)
  const again = terminal()
  expect(await again.run('store', 'verify', '--dry-run')).toBe(0)
  expect(again.out.at(-1)).toMatch(/ is whole$/)
  await (await opened()).destroy()
})

test('damaged files: said by --dry-run, which does not touch them; repaired without it, and a copy is kept', async () => {
  await fill()
  await rm(join(dataDir, 'store', 'CURRENT'))
  const dry = terminal()
  expect(await dry.run('store', 'verify', '--dry-run')).toBe(1)
  expect(dry.out[0]).toBe('CURRENT: cannot be read to its end')
  expect(await readdir(join(dataDir, 'store'))).not.toContain('CURRENT')

  const mending = terminal()
  expect(await mending.run('store', 'verify')).toBe(0)
  expect(mending.out).toContainEqual(expect.stringMatching(/^sessions +2$/))
  expect(mending.out).toContainEqual(expect.stringMatching(/^waiting messages +7$/))
  expect(mending.out).toContainEqual(expect.stringMatching(/^a copy of before is in .*store\.damaged-/))
  expect(mending.out.at(-1)).toMatch(/ is mended$/)
})

test('a table of which half is gone: what is left is served, and the rest said', async () => {
  await fill()
  await database(level =>
    (level as unknown as { compactRange(a: string, b: string): Promise<void> }).compactRange('', '\xff'),
  )
  const [table] = (await readdir(join(dataDir, 'store'))).filter(name => name.endsWith('.ldb'))
  await truncate(join(dataDir, 'store', table as string), 10)
  const here = terminal()
  expect(await here.run('store', 'verify', '--data-dir', 'data')).toBe(0)
  expect(here.out.at(-1)).toMatch(/ is mended$/)
})

test('a store that Redis keeps is none of this', async () => {
  writeFileSync(join(cwd, 'larder.yaml'), 'store: { engine: redis, url: "redis://127.0.0.1:6379" }\n')
  const here = terminal()
  expect(await here.run('store', 'verify')).toBe(1)
  expect(here.err).toEqual(['larder: the store is kept by redis: there is nothing to verify here'])
})

test('store alone, and a word that is not known, are answered with what there is', async () => {
  const here = terminal()
  expect(await here.run('store', 'verfy')).toBe(2)
  expect(here.err.splice(0)).toEqual(["larder: there is no command 'store verfy'; did you mean store verify?"])
  expect(await here.run('store')).toBe(2)
  expect(here.err.join('\n')).toMatch(/^ {2}store verify {2}look for damage/m)
  expect(await here.run('store', '--help')).toBe(0)
  expect(here.out).toEqual(here.err)
})
