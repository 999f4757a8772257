import { expect, test } from 'vitest'
import { Logins, MAX_AGE_MS, MAX_IDLE_MS, MAX_LOGINS } from '../../../src/dashboard/logins.ts'
import { ManualClock } from '../../support/manual-clock.ts'

function newLogins() {
  const clock = new ManualClock()
  const logins = new Logins({ clock })
  const begin = (user = 'ada') => logins.begin(user, false).split(';')[0] ?? ''
  return { clock, logins, begin }
}

test('a token lets in whoever has it, and nobody else', () => {
  const { logins, begin } = newLogins()
  const cookie = begin()
  expect(logins.find(`a=b; ${cookie}; c=d`)?.user).toBe('ada')
  for (const other of [undefined, '', 'larder_session=', 'larder_session', `${cookie}x`, cookie.slice(0, -1)]) {
    expect(logins.find(other)).toBeUndefined()
  }
  expect(begin()).not.toBe(cookie)
  expect(logins.begin('ada', true)).toContain('; Secure')
})

test('it ends when it is ended, idle or old; and those who hang on it are told', async () => {
  const { clock, logins, begin } = newLogins()
  const told: string[] = []
  const ended = begin()
  logins.find(ended)?.onEnd.add(() => told.push('ended'))
  expect(logins.end(ended)).toContain('Max-Age=0')
  expect(logins.find(ended)).toBeUndefined()
  const idle = begin()
  const used = begin()
  logins.find(idle)?.onEnd.add(() => told.push('idle'))
  for (let passed = 0; passed < MAX_AGE_MS; passed += MAX_IDLE_MS / 2) {
    expect(logins.find(used)?.user).toBe('ada')
    await clock.advance(MAX_IDLE_MS / 2)
  }
  expect(logins.find(idle)).toBeUndefined()
  expect(logins.find(used)).toBeUndefined()
  expect(told).toEqual(['ended', 'idle'])
})

test('an open page keeps its login, but not for ever', async () => {
  const { clock, logins, begin } = newLogins()
  const cookie = begin()
  const told: string[] = []
  logins.find(cookie)?.onEnd.add(() => told.push('ended'))
  await clock.advance(MAX_IDLE_MS - 1)
  logins.sweep()
  await clock.advance(MAX_IDLE_MS - 1)
  logins.sweep()
  expect([told, logins.find(cookie)?.user]).toEqual([[], 'ada'])
  await clock.advance(MAX_AGE_MS)
  logins.sweep()
  expect(told).toEqual(['ended'])
})

test('of too many, the one that was seen longest ago goes', () => {
  const { logins, begin } = newLogins()
  const first = begin()
  const second = begin()
  logins.find(first)
  for (let i = 2; i <= MAX_LOGINS; i++) begin()
  expect([logins.find(first)?.user, logins.find(second)]).toEqual(['ada', undefined])
})

test('a user who is taken out is out', () => {
  const { logins, begin } = newLogins()
  const [ada, bob] = [begin('ada'), begin('bob')]
  logins.endWhere(user => user === 'ada')
  expect([logins.find(ada), logins.find(bob)?.user]).toEqual([undefined, 'bob'])
})
