/**
 * What things and values are called in Home Assistant. An identifier ends in a hash of the names that it stands for, so that
 * it is valid and unique whatever they are, is the same after a restart, and does not depend on what else is there.
 */
import { createHash } from 'node:crypto'

/** Hexadecimal digits: two of a thousand things that also read alike share one in 10,000 homes. */
const HASH_DIGITS = 8
/** Characters of a name in an identifier: what a person reads of it. */
const MAX_SLUG = 48

/** The gateway's own. */
export function gatewayId(gateway: string): string {
  return identifier('larder', [gateway], [gateway])
}

/** Of a device or a part of one. */
export function thingId(gateway: string, { room, name }: { room: string; name: string }): string {
  return identifier('larder', [room, name], [gateway, room, name])
}

/** Of a value; `source` is what its source calls it, which stays when it is renamed. A single value has the empty name. */
export function valueId(thing: string, source: string): string {
  return source === '' ? `${thing}_value` : identifier(thing, [source], [source])
}

/** As in `sensor.kitchen_door`: what Home Assistant takes if nobody has it. `id` stands for names without a letter of its alphabet. */
export function entityId(platform: string, names: readonly string[], id: string): string {
  const slug = slugOf(names)
  return `${platform}.${slug === '' ? id : slug}`
}

function identifier(before: string, shown: readonly string[], meant: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(meant)).digest('hex').slice(0, HASH_DIGITS)
  return [before, slugOf(shown), hash].filter(part => part !== '').join('_')
}

/** Small letters, digits and single `_` between them; empty for what has neither. */
function slugOf(names: readonly string[]): string {
  return names
    .join(' ')
    .replaceAll('ß', 'ss')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_/, '')
    .slice(0, MAX_SLUG)
    .replace(/_$/, '')
}
