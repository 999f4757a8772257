/**
 * Whom an address belongs to. An IPv6 host chooses its own last 64 bits, so it is known by the first 64; only
 * link-local addresses, whose first 64 are the same for all, are known whole. IPv4 is IPv4 also when written as IPv6.
 */
import { isIPv6 } from 'node:net'

/** Groups of 16 bits in an IPv6 address, and those of them that a provider gives. */
const GROUPS = 8
const NETWORK_GROUPS = 4

/** What the addresses of one host have in common, to be compared with others. */
export function neighbourhoodOf(address: string): string {
  if (!address.includes(':')) return address
  const [bare = ''] = address.split('%', 1)
  if (!isIPv6(bare)) return address
  const groups = groupsOf(bare)
  const isMapped = groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff
  if (isMapped)
    return groups
      .slice(6)
      .flatMap(group => [group >> 8, group & 0xff])
      .join('.')
  const isLinkLocal = (groups[0]! & 0xffc0) === 0xfe80
  const told = isLinkLocal ? groups : groups.slice(0, NETWORK_GROUPS)
  return told.map(group => group.toString(16)).join(':')
}

function groupsOf(address: string): number[] {
  const [head = [], tail] = address.split('::').map(half => half.split(':').filter(Boolean).flatMap(readGroup))
  if (tail === undefined) return head
  return [...head, ...Array<number>(GROUPS - head.length - tail.length).fill(0), ...tail]
}

/** One group; or the last two, when they are written as IPv4. */
function readGroup(text: string): number[] {
  if (!text.includes('.')) return [Number.parseInt(text, 16)]
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number)
  return [a * 256 + b, c * 256 + d]
}
