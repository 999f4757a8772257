/** Where a bridge leads to, for the broker: several bridges to one upstream do not carry the same there twice. */
import { addressesOf, type ConnectionSettings } from './connection.ts'
import type { BridgeRule, SpoolWay } from './ports.ts'
import { routeOf } from './remap.ts'

export function wayOf(settings: ConnectionSettings, out: readonly BridgeRule[]): SpoolWay {
  const places = addressesOf(settings, {}).map(({ place }) => place)
  return { places, topicOf: topic => routeOf(out, topic)?.topic }
}
