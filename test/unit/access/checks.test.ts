import { expect, test } from 'vitest'
import { BusyError, Checks } from '../../../src/access/checks.ts'

function pending() {
  const ends: (() => void)[] = []
  let running = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++running)
    await new Promise<void>(resolve => ends.push(resolve))
    running--
  }
  return { work, ends, most: () => most }
}

test('two at once, the others in turn, too many are turned away', async () => {
  const checks = new Checks()
  const { work, ends, most } = pending()
  const all = Array.from({ length: 203 }, () => checks.run(work))
  const results = Promise.allSettled(all)
  await expect(all[202]).rejects.toThrow(BusyError)
  await expect(all[202]).rejects.toMatchObject({ returnCode: 3 })
  for (let ended = 0; ended < 202; ended++) {
    while (ends.length === 0) await new Promise<void>(resolve => setImmediate(resolve))
    ends.shift()?.()
  }
  expect((await results).filter(({ status }) => status === 'fulfilled')).toHaveLength(202)
  expect(most()).toBe(2)
})

test('one that fails makes room as well', async () => {
  const checks = new Checks()
  for (let i = 0; i < 5; i++) {
    await expect(checks.run(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  }
  expect(await checks.run(async () => 'done')).toBe('done')
})
