import { expect, test } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/config/units.ts'

test.each([
  ['5ms', 5],
  ['30s', 30_000],
  ['30 s', 30_000],
  ['1.5h', 5_400_000],
  ['2.3s', 2300],
  ['1d', 86_400_000],
  ['0s', 0],
  ['5', undefined],
  ['5 parsecs', undefined],
  ['-5s', undefined],
  ['5S', undefined],
  ['1.5ms', undefined],
  ['1e3s', undefined],
  ['s', undefined],
  ['', undefined],
  ['99999999999999999999d', undefined],
])('duration %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each([
  ['0', 0],
  ['1234', 1234],
  ['64KiB', 65_536],
  ['64kib', 65_536],
  ['1 MiB', 1_048_576],
  ['500kB', 500_000],
  ['500KB', 500_000],
  ['0.5kB', 500],
  ['1GiB', 2 ** 30],
  ['0.3B', undefined],
  ['64K', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['lots', undefined],
])('size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test('formats with the largest unit that comes out even', () => {
  expect([0, 5, 1500, 60_000, 90_000, 86_400_000].map(formatDuration)).toEqual([
    '0ms',
    '5ms',
    '1500ms',
    '1m',
    '90s',
    '1d',
  ])
  expect([0, 1, 1024, 1500, 500_000, 2 ** 20, 3e9].map(formatSize)).toEqual([
    '0B',
    '1B',
    '1KiB',
    '1500B',
    '500kB',
    '1MiB',
    '3GB',
  ])
})
