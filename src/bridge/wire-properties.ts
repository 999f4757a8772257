/** The properties of a PUBLISH as MQTT.js has them, and as we do. */
import type { IPublishPacket } from 'mqtt'
import type { Properties } from '../mqtt/properties.ts'

type WireProperties = NonNullable<IPublishPacket['properties']>

/** What may be published here: all that is the application's (MQTT 5 §3.3.2.3). */
export function propertiesOf(wire: WireProperties | undefined): Properties | undefined {
  if (wire === undefined) return undefined
  const properties: Properties = {}
  if (wire.payloadFormatIndicator !== undefined) properties.payloadFormatIndicator = wire.payloadFormatIndicator ? 1 : 0
  if (wire.messageExpiryInterval !== undefined) properties.messageExpiryInterval = wire.messageExpiryInterval
  if (wire.contentType !== undefined) properties.contentType = wire.contentType
  if (wire.responseTopic !== undefined) properties.responseTopic = wire.responseTopic
  if (wire.correlationData !== undefined) properties.correlationData = wire.correlationData
  const pairs = Object.entries(wire.userProperties ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value]),
  )
  if (pairs.length > 0) properties.userProperties = pairs
  return properties
}

export function wirePropertiesOf(properties: Properties): WireProperties {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic, correlationData } = properties
  const userProperties: Record<string, string[]> = {}
  for (const [name, value] of properties.userProperties ?? []) {
    const before = Object.hasOwn(userProperties, name) ? userProperties[name] : undefined
    // Not by assignment: a name may be `__proto__`.
    if (before === undefined) Object.defineProperty(userProperties, name, { value: [value], enumerable: true })
    else before.push(value)
  }
  const wire: WireProperties = {}
  if (payloadFormatIndicator !== undefined) wire.payloadFormatIndicator = payloadFormatIndicator === 1
  if (messageExpiryInterval !== undefined) wire.messageExpiryInterval = messageExpiryInterval
  if (contentType !== undefined) wire.contentType = contentType
  if (responseTopic !== undefined) wire.responseTopic = responseTopic
  if (correlationData !== undefined) wire.correlationData = correlationData
  if (properties.userProperties !== undefined) wire.userProperties = userProperties
  return wire
}
