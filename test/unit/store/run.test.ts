/** Values of records that follow one another are read without their keys: whatever else lies there is noticed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../../src/kernel/log.ts'
import { Disk } from '../../../src/store/disk.ts'
import { queueKey } from '../../../src/store/keys.ts'
import { SEAL_LENGTH, seal } from '../../../src/store/seal.ts'

interface Rec {
  session: number
  index: number
  value: Buffer
}

/** A disk with these records; one whose value was changed behind its seal has `harmed`. */
async function diskWith(records: (Rec & { harmed?: true })[]): Promise<Disk> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-run-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const level = new Level<Buffer, Buffer>(folder, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  for (const { session, index, value, harmed } of records) {
    const sealed = seal(queueKey(session, index), value)
    if (harmed) sealed[0]! ^= 1
    await level.put(queueKey(session, index), sealed)
  }
  await level.close()
  const disk = new Disk(folder, { log: silentLog })
  await disk.open()
  onTestFinished(() => disk.close())
  return disk
}

const records = (session: number, from: number, until: number): Rec[] =>
  Array.from({ length: until - from }, (_, i) => ({ session, index: from + i, value: Buffer.from(`${from + i}`) }))

const texts = (values: Buffer[] | undefined) => values?.map(value => value.subarray(0, -SEAL_LENGTH).toString())

test.each([250, 65_530, 2 ** 32 - 5, 2 ** 40 - 5])(
  'follow one another over every boundary of a byte, from %d on',
  async from => {
    const disk = await diskWith(records(1, from, from + 20))
    expect(texts(await disk.run(queueKey(1, from), 20))).toEqual(texts20(from))
    expect(texts(await disk.run(queueKey(1, from + 3), 5))).toEqual(texts20(from).slice(3, 8))
  },
)

const texts20 = (from: number) => Array.from({ length: 20 }, (_, i) => `${from + i}`)

test.each([
  ['one is missing', [...records(1, 0, 5), ...records(1, 6, 20)]],
  ['the first is missing', records(1, 1, 20)],
  ['there are too few', records(1, 0, 9)],
  ['the next queue begins early', [...records(1, 0, 5), ...records(2, 5, 20)]],
  [
    'one is damaged',
    [
      ...records(1, 0, 5),
      { session: 1, index: 5, value: Buffer.from('5'), harmed: true as const },
      ...records(1, 6, 20),
    ],
  ],
  ['there is nothing', []],
])('are not taken for a run when %s', async (_, found) => {
  const disk = await diskWith(found)
  expect(await disk.run(queueKey(1, 0), 10)).toBeUndefined()
})

test('end early when they are large', async () => {
  const large = records(1, 0, 8).map(record => ({ ...record, value: Buffer.alloc(200_000, record.index) }))
  const disk = await diskWith(large)
  const values = await disk.run(queueKey(1, 0), 8)
  expect(values?.length).toBeGreaterThan(1)
  expect(values?.length).toBeLessThan(8)
  for (const [i, value] of (values ?? []).entries()) {
    expect(value.subarray(0, -SEAL_LENGTH).equals(large[i]!.value)).toBe(true)
  }
})
