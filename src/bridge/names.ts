/**
 * From a name to addresses, without a thread. The system's own look-up holds a thread of libuv's pool, which the store
 * writes with, for as long as a resolver does not answer, and the process cannot even end before it has. So names go
 * to DNS by sockets (c-ares), with a time that is ours, and to the system only where DNS is not the one to ask: names
 * of one level, mDNS, and what DNS has answered that it does not know. The hosts file comes before all, as everywhere.
 */
import { promises as dns } from 'node:dns'
import { readFile } from 'node:fs/promises'
import { isIP, type LookupFunction } from 'node:net'

/** Milliseconds for a name server, before the next one is asked. */
const SERVER_TIMEOUT = 3_000
/** Times that each is asked. */
const TRIES = 2
const HOSTS_FILE = '/etc/hosts'

interface Found {
  readonly address: string
  readonly family: number
}

/** For one connection; what is under way ends with `signal`. Errors have the system's codes: ENOTFOUND, EAI_AGAIN. */
export function lookupUntil(signal: AbortSignal): LookupFunction {
  return (name, options, done) => {
    find(name, signal).then(
      found => {
        const [first] = found as [Found]
        if (options.all === true) done(null, found as never)
        else done(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => done(error, [] as never),
    )
  }
}

async function find(name: string, signal: AbortSignal): Promise<Found[]> {
  const fromFile = await inHostsFile(name)
  if (fromFile.length > 0) return fromFile
  if (!name.includes('.') || /\.local\.?$/i.test(name)) return await bySystem(name)
  return (await byDns(name, signal)) ?? (await bySystem(name))
}

async function inHostsFile(name: string): Promise<Found[]> {
  const text = await readFile(HOSTS_FILE, 'utf8').catch(() => '')
  return text.split('\n').flatMap(line => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const family = isIP(address)
    const isIt = family !== 0 && names.some(each => each.toLowerCase() === name.toLowerCase())
    return isIt ? [{ address, family }] : []
  })
}

function bySystem(name: string): Promise<Found[]> {
  return dns.lookup(name, { all: true })
}

/** Undefined when DNS has answered that it knows no such name. */
async function byDns(name: string, signal: AbortSignal): Promise<Found[] | undefined> {
  // A new one each time: networks, and with them name servers, come and go.
  const resolver = new dns.Resolver({ timeout: SERVER_TIMEOUT, tries: TRIES })
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel)
  try {
    const answers = await Promise.allSettled([resolver.resolve6(name), resolver.resolve4(name)])
    const [six, four] = answers.map(each => (each.status === 'fulfilled' ? each.value : []))
    const found = [
      ...(six as string[]).map(address => ({ address, family: 6 })),
      ...(four as string[]).map(address => ({ address, family: 4 })),
    ]
    if (found.length > 0) return found
    const isUnknown = answers.every(each => each.status === 'rejected' && UNKNOWN.has(String(each.reason.code)))
    if (isUnknown) return undefined
    throw Object.assign(new Error(`no name server answers for ${name}`), { code: 'EAI_AGAIN' })
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

const UNKNOWN: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA'])
