import { expect, test } from 'vitest'
import { Quota } from '../../../src/store/quota.ts'
import { NO_LIMITS } from '../../support/store.ts'

const limits = { ...NO_LIMITS, maxMessages: 10, maxBytes: 1_000, maxTotalMessages: 20, maxTotalBytes: 1_500 }

test.each([
  [{ count: 10, bytes: 1_000 }, false],
  [{ count: 11, bytes: 0 }, true],
  [{ count: 0, bytes: 1_001 }, true],
])('a queue with %j holds too much: %s', (load, expected) => {
  expect(new Quota(limits).isOver(load)).toBe(expected)
})

test('a queue is asked whether it has room for more', () => {
  const quota = new Quota(limits)
  expect(quota.isOver({ count: 9, bytes: 900 }, { count: 1, bytes: 100 })).toBe(false)
  expect(quota.isOver({ count: 9, bytes: 900 }, { count: 1, bytes: 101 })).toBe(true)
  expect(quota.isOver({ count: 10, bytes: 900 }, { count: 1, bytes: 1 })).toBe(true)
})

test('all together have limits of their own', () => {
  const quota = new Quota(limits)
  quota.count = 20
  quota.bytes = 1_500
  expect(quota.isTotalOver()).toBe(false)
  expect(quota.isTotalOver({ count: 1, bytes: 0 })).toBe(true)
  quota.bytes = 1_501
  expect(quota.isTotalOver()).toBe(true)
})

test('a queue that was full is so until a good part of it is gone', () => {
  const quota = new Quota(limits)
  expect(quota.isNearlyOver({ count: 10, bytes: 0 })).toBe(true)
  expect(quota.isNearlyOver({ count: 9, bytes: 900 })).toBe(false)
  expect(quota.isNearlyOver({ count: 1, bytes: 901 })).toBe(true)
})
