import fc from 'fast-check'
import { expect, test } from 'vitest'
import { neighbourhoodOf } from '../../../src/kernel/neighbourhood.ts'

test.each([
  ['192.168.1.7', '192.168.1.7'],
  ['::ffff:192.168.1.7', '192.168.1.7'],
  ['::ffff:c0a8:107', '192.168.1.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['2001:0DB8::0001', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0'],
  ['1::2:3:4:5:192.0.2.1', '1:0:2:3'],
  ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
  ['fe80::2', 'fe80:0:0:0:0:0:0:2'],
])('%s', (address, expected) => {
  expect(neighbourhoodOf(address)).toBe(expected)
})

const group = fc.integer({ min: 0x2001, max: 0xffff }).map(value => value.toString(16))
const groups = fc.tuple(group, group, group, group)

test('all addresses of a host are one neighbourhood, another network is another', () => {
  fc.assert(
    fc.property(groups, groups, groups, (network, host, other) => {
      fc.pre(!network[0].startsWith('fe'))
      const of = (suffix: string[]) => neighbourhoodOf([...network, ...suffix].join(':'))
      expect(of(host)).toBe(of(other))
      expect(of(host) === neighbourhoodOf([...other, ...host].join(':'))).toBe(network.join() === other.join())
    }),
  )
})
