/**
 * Opening and closing of the gateway's own HTTP servers: the web page and the metrics. What they answer, and how much they
 * take, is theirs.
 */
import type { Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { LarderError, reasonOf, systemCodeOf } from './errors.ts'

type AnyServer = Server | SecureServer

export interface HttpAddress {
  readonly scheme: 'http' | 'https'
  /** Name or address of this machine. */
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
}

/**
 * Resolves when `server` listens; `onFault` is told what goes wrong later. Rejects with a LarderError LISTEN_* and `hint` when
 * its address cannot be used.
 */
export async function openHttp(
  server: AnyServer,
  address: HttpAddress,
  { hint, onFault }: { hint: string; onFault: (error: Error) => void },
): Promise<void> {
  const { host, port } = address
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen({ host, port }, () => resolve())
    })
  } catch (error) {
    throw faultOf(error, urlOf(address), hint)
  }
  server.removeAllListeners('error').on('error', onFault)
}

/** Ends its connections too. */
export async function closeHttp(server: AnyServer): Promise<void> {
  await new Promise<void>(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** URL with the real port, once it listens. */
export function urlOfHttp(server: AnyServer, address: HttpAddress): string {
  const bound = server.address()
  return urlOf(typeof bound === 'object' && bound !== null ? { ...address, port: bound.port } : address)
}

function urlOf({ scheme, host, port }: HttpAddress): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function faultOf(error: unknown, url: string, hint: string): LarderError {
  const options = { cause: error, hint }
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return new LarderError('LISTEN_IN_USE', `another program listens at ${url} already.`, options)
    case 'EACCES':
      return new LarderError('LISTEN_DENIED', `this user may not listen at ${url}.`, options)
    default:
      return new LarderError('LISTEN_FAILED', `${url}: ${reasonOf(error)}.`, options)
  }
}
