/** `metrics`: how often `$SYS` is published, and where Prometheus may ask. */
import { isIPv6 } from 'node:net'
import * as v from 'valibot'
import { isPublic } from './addresses.ts'
import { shorten } from './fault.ts'
import type { MetricsConfig } from './schema.ts'
import { isMap, map, type Report } from './structure.ts'
import { duration, flag, found, Refusal, type Schema, text, value } from './values.ts'

const EXAMPLE = 'http://127.0.0.1:9090'
/** `http://host:port`. */
const URL_PARTS = /^http:\/\/(?:\[([^\]]+)\]|([A-Za-z0-9._-]+)):(\d+)\/?$/i
const MAX_PORT = 65_535
/** ms; Mosquitto has no longer sys_interval than 65,535 s. */
const MAX_INTERVAL = 65_535_000

/** Characters of a token. */
const MIN_TOKEN = 16

type Place = NonNullable<MetricsConfig['listen']>

export function metrics(): Schema<MetricsConfig> {
  return v.pipe(
    map(
      {
        sys_interval: v.optional(duration({ min: 0, max: MAX_INTERVAL, example: '10s' }), '10s'),
        listen: v.exactOptional(place()),
        password_file: v.exactOptional(text({ example: 'passwords' })),
        bearer_token: v.exactOptional(text({ example: '"a long random text"', secret: true, fault: tokenFault })),
        allow_anonymous: v.optional(flag(), false),
      },
      { example: 'sys_interval: 10s', check: checkPermission },
    ),
    // It is a word to the reader of the file, and has been heard.
    v.transform(({ allowAnonymous: _, ...settings }): MetricsConfig => settings),
  )
}

function place(): Schema<Place> {
  return value(EXAMPLE, input => {
    const [, bracketed, name, digits = ''] = (typeof input === 'string' && URL_PARTS.exec(input)) || []
    const host = bracketed ?? name
    if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
      return new Refusal(`must be an address, such as ${EXAMPLE}; found ${found(input)}`)
    }
    const port = Number(digits)
    if (port > MAX_PORT) return new Refusal(`the port must be between 0 and ${MAX_PORT}; found ${shorten(digits)}`)
    return { host, port }
  })
}

/** RFC 6750 §2.1; whoever guesses needs time. */
function tokenFault(token: string): string | undefined {
  if (!/^[\w.~+/-]+=*$/.test(token)) return 'must be letters, digits and - . _ ~ + /'
  return token.length < MIN_TOKEN ? `must have at least ${MIN_TOKEN} characters` : undefined
}

/** As with listeners: what other machines reach, somebody must have meant. */
function checkPermission(written: Record<string, unknown>, report: Report): void {
  const { listen, allow_anonymous: isAllowed } = written
  if (!isMap(listen) || typeof listen.host !== 'string' || isAllowed === true) return
  if ('password_file' in written || 'bearer_token' in written) return
  if (!isPublic({ protocol: 'ws', host: listen.host })) return
  const { host, port } = listen
  report(
    `whoever reaches http://${host.includes(':') ? `[${host}]` : host}:${port} could read them: ` +
      'add password_file: passwords (larder passwd makes it), bearer_token, or allow_anonymous: true if that is meant',
    ['listen'],
  )
}
