/** A connection through a SOCKS5 proxy, which looks the name up (RFC 1928, RFC 1929). */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ByteSource } from '../../kernel/byte-source.ts'
import type { ClientSettings } from './settings.ts'
import { ClientFault } from './texts.ts'

type Proxy = NonNullable<ClientSettings['proxy']>

const VERSION = 5
const NO_LOGIN = 0
const LOGIN = 2
/** Version of the exchange of user name and password. */
const LOGIN_VERSION = 1
const CONNECT = 1
const BY_NAME = 3
/** Bytes of the address in an answer by its type, without the port; a name has its length before it. */
const ADDRESS_LENGTHS: Readonly<Record<number, number>> = { 1: 4, 4: 16 }

/** RFC 1928 §6. */
const REASONS: Readonly<Record<number, string>> = {
  2: 'it does not allow that',
  3: 'the network cannot be reached',
  4: 'the host cannot be reached',
  5: 'connection refused',
  6: 'it took too long',
}

/** Rejects with the error of the socket, or with a ClientFault for what the proxy says. */
export async function throughSocks(
  proxy: Proxy,
  target: { host: string; port: number },
  local: { localAddress?: string },
): Promise<Socket> {
  const socket = connect({ host: proxy.host, port: proxy.port, ...local })
  try {
    await once(socket, 'connect')
    await negotiate(socket, proxy, target)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function negotiate(socket: Socket, { username, password }: Proxy, target: { host: string; port: number }) {
  // Not the iterator of the stream itself: that would close it when this is done.
  const source = new ByteSource(readsOf(socket))
  const method = username === '' ? NO_LOGIN : LOGIN
  socket.write(Buffer.from([VERSION, 1, method]))
  const [, chosen] = await source.take(2)
  if (chosen !== method) throw failed('it wants another way to log in')
  if (method === LOGIN) {
    socket.write(Buffer.concat([Buffer.from([LOGIN_VERSION]), short(username), short(password)]))
    const [, status] = await source.take(2)
    if (status !== 0) throw failed('user name or password is wrong')
  }
  const port = Buffer.from([target.port >> 8, target.port & 0xff])
  socket.write(Buffer.concat([Buffer.from([VERSION, CONNECT, 0, BY_NAME]), short(target.host), port]))
  const [, status = 0, , type = 0] = await source.take(4)
  if (status !== 0) throw failed(REASONS[status] ?? `code ${status}`)
  const length = ADDRESS_LENGTHS[type] ?? ((await source.take(1))[0] as number)
  await source.take(length + 2)
}

/** What comes, in single reads, for as long as somebody asks. */
function readsOf(socket: Socket): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        for (;;) {
          // No more than is there to be read is taken, and a server says nothing before CONNECT.
          const chunk = socket.read() as Buffer | null
          if (chunk !== null) return { value: chunk, done: false }
          if (socket.destroyed || socket.readableEnded) return { value: undefined, done: true }
          await somethingOf(socket)
        }
      },
    }),
  }
}

/** Resolves when there is something to read, or will never be. Rejects with the error of the socket. */
function somethingOf(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => socket.off('readable', done).off('end', done).off('close', done).off('error', fail)
    const done = () => {
      stop()
      resolve()
    }
    const fail = (error: Error) => {
      stop()
      reject(error)
    }
    socket.on('readable', done).on('end', done).on('close', done).on('error', fail)
  })
}

function short(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > 255) throw failed('a name has at most 255 bytes')
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

function failed(reason: string): ClientFault {
  return new ClientFault(`Error: Proxy error: ${reason}.\n`)
}
