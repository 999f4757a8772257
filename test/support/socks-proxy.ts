/** A SOCKS5 proxy of a test (RFC 1928, RFC 1929): carries to any address of this machine, whatever name is asked for. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface SocksProxy extends AsyncDisposable {
  readonly port: number
  /** `name:port` of each that was asked for. */
  readonly asked: string[]
}

/** With a `login`, whoever has another is refused. */
export async function startSocksProxy(login?: { username: string; password: string }): Promise<SocksProxy> {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    void serve(socket).catch(() => socket.destroy())
  })
  async function serve(socket: Socket): Promise<void> {
    const read = reader(socket)
    const [, count = 0] = await read(2)
    const methods = await read(count)
    const method = login === undefined ? 0 : 2
    if (!methods.includes(method)) {
      socket.end(Buffer.from([5, 0xff]))
      return
    }
    socket.write(Buffer.from([5, method]))
    if (login !== undefined) {
      const [, length = 0] = await read(2)
      const username = (await read(length)).toString()
      const password = (await read((await read(1))[0] ?? 0)).toString()
      const isRight = username === login.username && password === login.password
      socket.write(Buffer.from([1, isRight ? 0 : 1]))
      if (!isRight) {
        socket.end()
        return
      }
    }
    const [, , , type] = await read(4)
    const name =
      type === 3 ? (await read((await read(1))[0] ?? 0)).toString() : (await read(type === 1 ? 4 : 16)).join('.')
    const port = (await read(2)).readUInt16BE()
    asked.push(`${name}:${port}`)
    const target = connect(port, '127.0.0.1')
    sockets.add(target)
    target.on('error', () => socket.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0])))
    await once(target, 'connect')
    socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]))
    socket.pipe(target).pipe(socket)
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Takes so many bytes when they have come. */
function reader(socket: Socket): (length: number) => Promise<Buffer> {
  return async length => {
    if (length === 0) return Buffer.alloc(0)
    for (;;) {
      const bytes = socket.read(length) as Buffer | null
      if (bytes !== null) return bytes
      await once(socket, 'readable')
    }
  }
}
