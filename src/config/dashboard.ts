/** `dashboard`: where the web page is served, and who may use it. It is there unless the owner says no. */
import { isIPv6 } from 'node:net'
import * as v from 'valibot'
import { isPublic } from './addresses.ts'
import { shorten } from './fault.ts'
import type { DashboardConfig } from './schema.ts'
import { isMap, list, map, type Report } from './structure.ts'
import { found, Refusal, type Schema, text, value } from './values.ts'

const EXAMPLE = '127.0.0.1:8080'
const DEFAULT = { host: '127.0.0.1', port: 8080 }
/** `host:port`, also as a URL. */
const PARTS = /^(?:https?:\/\/)?(?:\[([^\]]+)\]|([A-Za-z0-9._-]+)):(\d+)\/?$/i
const MAX_PORT = 65_535
/** What YAML and an environment variable call no and yes. */
const NO: readonly unknown[] = [false, 'false', 'no', 'off']
const YES: readonly unknown[] = [true, 'true', 'yes', 'on']

type Place = NonNullable<DashboardConfig['listen']>

const NOWHERE: DashboardConfig = { isDefault: false, names: [] }

export function dashboard(): Schema<DashboardConfig> {
  const section = v.pipe(
    map(
      {
        listen: v.exactOptional(place()),
        users: v.exactOptional(text({ example: 'dashboard-passwords' })),
        tls: v.exactOptional(tls()),
        names: v.optional(list(text({ example: 'larder.example.org' }), { example: 'larder.example.org' }), []),
      },
      { example: `listen: ${EXAMPLE}`, check: checkUsers },
    ),
    v.transform(({ listen, ...rest }): DashboardConfig => {
      if (listen === undefined) return { ...rest, listen: DEFAULT, isDefault: true }
      return listen === 'off' ? { ...rest, isDefault: false } : { ...rest, listen, isDefault: false }
    }),
  )
  const off = v.pipe(
    v.unknown(),
    v.transform(() => NOWHERE),
  )
  const on = v.pipe(
    v.unknown(),
    v.transform(() => v.parse(section, {})),
  )
  return v.lazy(input => {
    if (NO.includes(input)) return off
    return YES.includes(input) ? on : section
  }) as Schema<DashboardConfig>
}

function place(): Schema<Place | 'off'> {
  return value(EXAMPLE, input => {
    if (NO.includes(input)) return 'off'
    const [, bracketed, name, digits = ''] = (typeof input === 'string' && PARTS.exec(input)) || []
    const host = bracketed ?? name
    if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
      return new Refusal(`must be an address and a port, such as ${EXAMPLE}, or off; found ${found(input)}`)
    }
    const port = Number(digits)
    if (port > MAX_PORT) return new Refusal(`the port must be between 0 and ${MAX_PORT}; found ${shorten(digits)}`)
    return { host, port }
  })
}

function tls(): Schema<NonNullable<DashboardConfig['tls']>> {
  return map(
    { cert: text({ example: 'fullchain.pem' }), key: text({ example: 'privkey.pem' }) },
    { example: 'cert: fullchain.pem' },
  )
}

/** Whoever reaches the page rules the gateway: other machines only with a password. */
function checkUsers({ listen, users }: Record<string, unknown>, report: Report): void {
  if (users !== undefined || !isMap(listen) || typeof listen.host !== 'string') return
  if (!isPublic({ protocol: 'ws', host: listen.host })) return
  const { host, port } = listen
  report(
    `whoever reaches ${host.includes(':') ? `[${host}]` : host}:${port} could rule the gateway: ` +
      'add users: dashboard-passwords ("larder passwd -c dashboard-passwords NAME" makes it), or listen at 127.0.0.1',
    ['listen'],
  )
}
