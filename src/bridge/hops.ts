/**
 * Which gateways a message has come through: a user property of MQTT 5. A bridge adds its gateway with `>` to what it
 * sends and with `<` to what it fetches; who has both ends of a link without a bridge of its own adds nothing. A message
 * that a gateway has sent or fetched before goes round in a circle, and stops there; one that it has just fetched by one
 * bridge may leave by another.
 */
import type { Properties } from '../mqtt/properties.ts'

/** The user property; its value is the hops with commas between them. */
const HOPS = 'larder-hops'
/** Hops in a row: far more than anybody builds, so that what circles for another reason ends too. */
const MAX_HOPS = 16

/** The properties of a message that a bridge of `gateway` has fetched, or undefined when it came round or too far. */
export function fetchedBy(gateway: string, properties: Properties): Properties | undefined {
  const hops = hopsOf(properties)
  if (hops.includes(`<${gateway}`) || hops.includes(`>${gateway}`)) return undefined
  return withHops(properties, [...hops, `<${gateway}`])
}

/** The properties of a message that a bridge of `gateway` is to send, or undefined when it came round or too far. */
export function sentBy(gateway: string, properties: Properties): Properties | undefined {
  const hops = hopsOf(properties)
  if (hops.includes(`>${gateway}`) || hops.slice(0, -1).includes(`<${gateway}`)) return undefined
  return withHops(properties, [...hops, `>${gateway}`])
}

function hopsOf(properties: Properties): string[] {
  const value = properties.userProperties?.find(([name]) => name === HOPS)?.[1]
  return value === undefined || value === '' ? [] : value.split(',')
}

function withHops(properties: Properties, hops: readonly string[]): Properties | undefined {
  if (hops.length > MAX_HOPS) return undefined
  const others = (properties.userProperties ?? []).filter(([name]) => name !== HOPS)
  return { ...properties, userProperties: [...others, [HOPS, hops.join(',')]] }
}
