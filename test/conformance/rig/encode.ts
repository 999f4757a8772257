/** From what a case writes to bytes: the case's own prefix for `~`, defaults of packets, raw parts. */
import { generate, type Packet } from 'mqtt-packet'
import { Bound, type Fields, type Part, type Raw, type Version } from './format.ts'

/** What is the same for all packets of a case. */
export interface Encoding {
  version: Version
  /** Stands for `~`. */
  prefix: string
  bound: Map<string, unknown>
}

/** Puts the prefix and the bound values in. Functions and bytes stay as they are. */
export function resolve(value: unknown, encoding: Encoding): unknown {
  if (typeof value === 'string') return value.replaceAll('~', encoding.prefix)
  if (Array.isArray(value)) return value.map(item => resolve(item, encoding))
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Bound) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [resolve(key, encoding), resolve(item, encoding)]),
  )
}

/** The bytes of a packet, of hex text or of raw parts, as sent by the connection `on`. */
export function encode(what: Fields | string | Raw, on: string, encoding: Encoding): Buffer {
  if (typeof what === 'string') return hex(what)
  if ('raw' in what) return encodeRaw(what as Raw, encoding)
  const packet = withDefaults(bind(resolve(what, encoding), encoding) as Fields, on, encoding)
  return generate(packet as unknown as Packet, { protocolVersion: encoding.version })
}

function withDefaults(packet: Fields, on: string, { version, prefix }: Encoding): Fields {
  switch (packet.cmd) {
    case 'connect': {
      const { will } = packet as { will?: Fields }
      return {
        protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
        protocolVersion: version,
        clientId: `${prefix}${on}`,
        clean: true,
        keepalive: 0,
        ...packet,
        ...(will === undefined ? {} : { will: { payload: '', qos: 0, retain: false, ...will } }),
      }
    }
    case 'publish':
      return { qos: 0, retain: false, dup: false, payload: '', ...packet }
    default:
      return packet
  }
}

function bind(value: unknown, encoding: Encoding): unknown {
  if (value instanceof Bound) {
    const known = encoding.bound.get(value.name)
    if (known === undefined) throw new Error(`id('${value.name}') is sent before it was seen`)
    return known
  }
  if (Array.isArray(value)) return value.map(item => bind(item, encoding))
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, bind(item, encoding)]))
}

function encodeRaw({ raw, parts }: Raw, encoding: Encoding): Buffer {
  const body = Buffer.concat(parts.map(part => encodePart(part, encoding)))
  return Buffer.concat([Buffer.from([raw]), variableByteInteger(body.length), body])
}

function encodePart(part: Part, encoding: Encoding): Buffer {
  if (typeof part === 'number') return Buffer.from([part])
  if (typeof part === 'string') return hex(part)
  if ('pad' in part) return Buffer.alloc(part.pad, part.of)
  if ('properties' in part) {
    const list = Buffer.concat(part.properties.map(item => encodePart(item, encoding)))
    return Buffer.concat([variableByteInteger(list.length), list])
  }
  const content = Buffer.from(resolve('utf8' in part ? part.utf8 : part.text, encoding) as string)
  if ('text' in part) return content
  return Buffer.concat([Buffer.from([content.length >> 8, content.length & 0xff]), content])
}

/** As in a fixed header (MQTT 3.1.1 §2.2.3, MQTT 5 §1.5.5). */
function variableByteInteger(length: number): Buffer {
  const bytes: number[] = []
  let rest = length
  do {
    const digit = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? digit | 0x80 : digit)
  } while (rest > 0)
  return Buffer.from(bytes)
}

export function hex(digits: string): Buffer {
  const packed = digits.replaceAll(/\s/g, '')
  if (!/^([0-9a-f]{2})*$/i.test(packed)) throw new Error(`not hex: ${digits}`)
  return Buffer.from(packed, 'hex')
}
