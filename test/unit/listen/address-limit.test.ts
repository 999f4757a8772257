/** Whose connections count together, and whose not at all. */
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { AddressLimit } from '../../../src/listen/address-limit.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { recordLog } from '../../support/record-log.ts'

function limitOf(max: number): AddressLimit {
  return new AddressLimit({ max: () => max, clock: new ManualClock(), log: recordLog().log })
}

test.each<[string | undefined, string, boolean]>([
  ['192.168.1.7', '192.168.1.7', true],
  ['192.168.1.7', '::ffff:192.168.1.7', true],
  ['192.168.1.7', '192.168.1.8', false],
  ['2001:db8::1', '2001:db8::2', true],
  ['2001:db8::1', '2001:db8:0:1::1', false],
  ['fe80::1%eth0', 'fe80::1', true],
  ['fe80::1', 'fe80::2', false],
  ['127.0.0.1', '127.0.0.1', false],
  ['127.1.2.3', '127.1.2.3', false],
  ['::1', '::1', false],
  ['1270::1', '1270::1', true],
])('%s and %s count together: %s', (first, second, together) => {
  const limit = limitOf(1)
  expect(limit.enter(new Socket(), first)).toBe(true)
  expect(limit.enter(new Socket(), second)).toBe(!together)
})

test('Unix sockets have no address and do not count', () => {
  const limit = limitOf(1)
  for (let i = 0; i < 3; i++) expect(limit.enter(new Socket(), undefined)).toBe(true)
})

test('a connection that is closed gives its place back, once', async () => {
  const limit = limitOf(1)
  const socket = new Socket()
  expect(limit.enter(socket, '10.0.0.1')).toBe(true)
  expect(limit.enter(new Socket(), '10.0.0.1')).toBe(false)
  const closed = new Promise(resolve => socket.once('close', resolve))
  socket.destroy()
  await closed
  expect(limit.enter(new Socket(), '10.0.0.1')).toBe(true)
  expect(limit.enter(new Socket(), '10.0.0.1')).toBe(false)
  expect(limit.refused).toBe(2)
})
