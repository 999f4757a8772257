/** Who is let in to the numbers. */
import { describe, expect, test } from 'vitest'
import { Guard } from '../../../src/observe/guard.ts'

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const TOKEN = '0123456789abcdef'

/** Knows Ann, and counts whom it was asked about. */
function house() {
  const asked: string[] = []
  const doorkeeper = {
    async mayEnter(user: string, password: Buffer, address: string | undefined) {
      asked.push(`${user} ${password} ${address}`)
      return user === 'ann' && password.toString() === 'se:same'
    },
  }
  return { doorkeeper, asked }
}

describe('with users', () => {
  test('whoever has the password, checked once', async () => {
    const { doorkeeper, asked } = house()
    const guard = new Guard({ doorkeeper })
    expect(await guard.admits(basic('ann', 'se:same'), '10.0.0.1')).toBe(true)
    expect(await guard.admits(basic('ann', 'se:same'), '10.0.0.2')).toBe(true)
    expect(asked).toEqual(['ann se:same 10.0.0.1'])
    // A wrong one is asked about each time: the doorkeeper slows whoever guesses.
    for (let i = 0; i < 2; i++) expect(await guard.admits(basic('ann', 'wrong'), '10.0.0.1')).toBe(false)
    expect(asked).toHaveLength(3)
    expect(guard.challenges).toEqual(['Basic realm="larder", charset="UTF-8"'])
  })

  test.each([undefined, '', 'Basic', 'Basic !!!', `Basic ${Buffer.from('ann').toString('base64')}`, `Bearer ${TOKEN}`])(
    'nobody who shows %s',
    async header => {
      const { doorkeeper, asked } = house()
      expect(await new Guard({ doorkeeper }).admits(header, undefined)).toBe(false)
      expect(asked).toEqual([])
    },
  )

  test('many who are let in are not all remembered', async () => {
    const asked: string[] = []
    const mayEnter = async (user: string) => asked.push(user) > 0
    const guard = new Guard({ doorkeeper: { mayEnter } })
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100; i++) expect(await guard.admits(basic(`user${i}`, 'x'), undefined)).toBe(true)
    }
    expect(asked.length).toBeGreaterThan(150)
    expect(asked.length).toBeLessThan(200)
  })
})

test('with a token, whoever has it', async () => {
  const guard = new Guard({ bearerToken: TOKEN })
  expect(await guard.admits(`Bearer ${TOKEN}`, undefined)).toBe(true)
  expect(await guard.admits(`bearer ${TOKEN}`, undefined)).toBe(true)
  for (const wrong of [`Bearer ${TOKEN}0`, 'Bearer 0', basic('ann', TOKEN), undefined]) {
    expect(await guard.admits(wrong, undefined)).toBe(false)
  }
  expect(guard.challenges).toEqual(['Bearer realm="larder"'])
})

test('without either, everybody', async () => {
  expect(await new Guard({}).admits(undefined, undefined)).toBe(true)
})
