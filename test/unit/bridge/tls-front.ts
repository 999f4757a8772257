/** What stands between a bridge and a scripted upstream: TLS, and pipes from socket to socket. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTls, type TLSSocket, type TlsOptions } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { Pair } from '../../support/certificates.ts'
import type { ScriptedUpstream } from './scripted-upstream.ts'

export async function listening(front: Server): Promise<number> {
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  onTestFinished(() => void front.close())
  return (front.address() as AddressInfo).port
}

export function join2(one: Duplex, two: Duplex): void {
  one.on('error', () => two.destroy()).pipe(two)
  two.on('error', () => one.destroy()).pipe(one)
}

export const portOf = (peer: ScriptedUpstream): number => Number(new URL(peer.url).port)

/** TLS before `peer`; resolves to its port, and notes each connection. */
export async function tlsBefore(peer: ScriptedUpstream, options: TlsOptions, pair: Pair) {
  const seen: { alpn: string | false | null; sni: unknown; client: unknown; cipher: string }[] = []
  const front = createTls({ cert: await readFile(pair.cert), key: await readFile(pair.key), ...options }, socket => {
    const name = socket.getPeerCertificate()?.subject?.CN
    seen.push({
      alpn: socket.alpnProtocol,
      sni: (socket as TLSSocket & { servername?: unknown }).servername,
      client: name,
      cipher: socket.getCipher().name,
    })
    join2(socket, connect(portOf(peer), '127.0.0.1'))
  })
  front.on('tlsClientError', () => {})
  return { port: await listening(front), seen }
}
