/**
 * Presets of bridges: what the brokers of several houses want, as defaults. Each is what an owner could have written;
 * what is written counts instead.
 */
import { isMap } from './structure.ts'

export const PRESET_NAMES = [
  'hivemq-cloud',
  'emqx-cloud',
  'aws-iot-core',
  'azure-event-grid',
  'mosquitto',
  'larder',
] as const

type Defaults = Readonly<Record<string, unknown>>

const PRESETS: Readonly<Record<(typeof PRESET_NAMES)[number], (written: Defaults) => Defaults>> = {
  'hivemq-cloud': () => ({ version: '5', keepalive: '60s', max_inflight: 10 }),
  'emqx-cloud': () => ({ version: '5', keepalive: '60s', max_inflight: 32, max_packet_size: '1MiB' }),
  // AWS wants ALPN on port 443 and nowhere else, and no keepalive below 30 s. It does not answer to QoS 2.
  'aws-iot-core': written => ({
    version: '5',
    keepalive: '60s',
    max_inflight: 100,
    max_packet_size: '128KiB',
    max_qos: 1,
    ...(speaksOn(written, 443) ? { tls: { alpn: ['x-amzn-mqtt-ca'] } } : {}),
  }),
  // It fails a CONNECT with user properties, which is how another Larder would be told of a bridge.
  'azure-event-grid': () => ({
    version: '5',
    keepalive: '60s',
    max_inflight: 16,
    max_packet_size: '512KiB',
    max_qos: 1,
    try_private: false,
  }),
  mosquitto: () => ({ version: 'auto', keepalive: '60s', max_inflight: 20 }),
  larder: () => ({ version: '5', keepalive: '30s', max_inflight: 200 }),
}

/** What a bridge is with its preset's defaults; anything that is no bridge with a known preset as it is. */
export function applyPreset(input: unknown): unknown {
  if (!isMap(input)) return input
  const preset = PRESET_NAMES.find(name => name === input.preset)
  return preset === undefined ? input : merged(PRESETS[preset](input), input)
}

/** Maps are merged, one level of them: an owner who writes `tls: { cert … }` keeps the preset's other keys of `tls`. */
function merged(defaults: Defaults, written: Defaults): Defaults {
  const both = Object.entries(defaults).map(([key, each]): [string, unknown] => {
    const own = written[key]
    if (own === undefined || own === null) return [key, each]
    return [key, isMap(each) && isMap(own) ? { ...each, ...own } : own]
  })
  return { ...written, ...Object.fromEntries(both) }
}

function speaksOn(written: Defaults, port: number): boolean {
  const urls = Array.isArray(written.urls) ? written.urls : [written.url]
  return urls.some(url => typeof url === 'string' && url.replace(/\/+$/, '').endsWith(`:${port}`))
}
