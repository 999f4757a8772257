/**
 * The way from a command to the gateway that runs on the same data: a socket in the data folder, which only its owner may
 * use. One connection carries one request, a line of JSON, and one answer, another, which much more may follow: chunks with
 * their lengths, so that an answer that was cut is not taken for a whole one. There is no other way in, so who may not
 * read the data may not tell the gateway anything either.
 */
import { mkdir, open, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { ByteSource } from '../kernel/byte-source.ts'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'

const SOCKET_NAME = 'control.sock'
/** Bytes of a request or an answer: the faults of a long configuration, with room. */
const MAX_LINE = 1024 * 1024
/** Connections at once: a person's, and a few scripts'. */
const MAX_CONNECTIONS = 16
/** Bytes of a chunk that follows an answer: a block of an exported store, which holds whole messages. */
const MAX_CHUNK = 512 * 1024 * 1024
/** In the place of a length: what follows is why there will be no more. */
const FAULT_MARK = 0xffff_ffff
/** Bytes of a socket's path that the system takes (unix(7), sun_path). */
const MAX_PATH = 107

export interface ControlAnswer {
  readonly ok: boolean
  /** For the person who asked. */
  readonly lines: readonly string[]
  /** What follows. Whoever asked reads it to its end, or ends it; it throws a LarderError when it was cut. */
  readonly body?: AsyncIterable<Buffer>
}

export interface ControlRequest {
  readonly command: string
  /** Of an answer that programs may read; absent, it is for a person. */
  readonly form?: 'text' | 'json'
  /** What else the command wants to know. */
  readonly options?: Readonly<Record<string, string>>
}

/** Answers requests until it is closed. `answer` must not reject. Rejects when the socket cannot be made. */
export async function openControl(
  dataDir: string,
  answer: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<AsyncDisposable> {
  await mkdir(dataDir, { recursive: true })
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    void readLine(new ByteSource(socket))
      .then(line => answer(requestOf(line)))
      .catch((error): ControlAnswer => ({ ok: false, lines: [reasonOf(error)] }))
      .then(given => give(given, socket))
  })
  server.maxConnections = MAX_CONNECTIONS
  await using folder = await openFolder(dataDir)
  // The store is locked by now: whoever left a socket here is gone.
  await rm(folder.socket, { force: true })
  await listening(server, folder.socket)
  server.unref()
  return {
    async [Symbol.asyncDispose]() {
      // Closing removes the file.
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Asks the gateway that runs on `dataDir`. Rejects with a LarderError when there is none. */
export async function askGateway(dataDir: string, request: ControlRequest): Promise<ControlAnswer> {
  try {
    await using folder = await openFolder(dataDir)
    const socket = connect(folder.socket)
    socket.write(`${JSON.stringify(request)}\n`)
    const source = new ByteSource(socket)
    const { follows, ...answer } = JSON.parse(await readLine(source)) as ControlAnswer & { follows?: true }
    if (follows === true) return { ...answer, body: following(source, socket) }
    socket.destroy()
    return answer
  } catch (error) {
    const isNobody = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')
    throw new LarderError('NOT_RUNNING', `no gateway answers in ${dataDir}`, {
      hint: isNobody
        ? 'Is it running, with this data_dir? "larder start" starts it.'
        : `It must be asked by the user that it runs as, or by root (${reasonOf(error)}).`,
      cause: error,
    })
  }
}

/** The folder, held open: a path through its descriptor is short however deep it lies. */
async function openFolder(dataDir: string): Promise<AsyncDisposable & { socket: string }> {
  const direct = join(dataDir, SOCKET_NAME)
  if (Buffer.byteLength(direct) <= MAX_PATH) return { socket: direct, async [Symbol.asyncDispose]() {} }
  const handle = await open(dataDir)
  return { socket: `/proc/self/fd/${handle.fd}/${SOCKET_NAME}`, [Symbol.asyncDispose]: () => handle.close() }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ path }, () => {
      server.off('error', reject).on('error', () => {})
      resolve()
    })
  })
}

function requestOf(line: string): ControlRequest {
  const request = JSON.parse(line) as ControlRequest
  if (typeof request?.command !== 'string') throw new Error('a request names a command')
  return request
}

/** The first line that comes. Rejects when there is none, or too long a one. */
async function readLine(source: ByteSource): Promise<string> {
  return (await source.line(MAX_LINE)).toString('utf8')
}

/** Writes an answer and what follows, as fast as it is read. */
async function give({ body, ...answer }: ControlAnswer, socket: Socket): Promise<void> {
  // Nobody reads the socket any more, so its end would not be noticed.
  const close = () => void socket.destroy()
  if (body === undefined) {
    socket.end(`${JSON.stringify(answer)}\n`, close)
    return
  }
  const write = (bytes: Buffer | string) =>
    new Promise<void>((resolve, reject) => void socket.write(bytes, error => (error ? reject(error) : resolve())))
  try {
    await write(`${JSON.stringify({ ...answer, follows: true })}\n`)
    try {
      for await (const chunk of body) await write(Buffer.concat([lengthOf(chunk.length), chunk]))
      await write(lengthOf(0))
    } catch (error) {
      const reason = Buffer.from(reasonOf(error))
      await write(Buffer.concat([lengthOf(FAULT_MARK), lengthOf(reason.length), reason]))
    }
  } catch {
    // Whoever asked has gone.
  }
  socket.end(close)
}

async function* following(source: ByteSource, socket: Socket): AsyncGenerator<Buffer> {
  const next = async () => (await source.take(4)).readUInt32BE()
  try {
    for (;;) {
      const length = await next()
      if (length === 0) return
      if (length === FAULT_MARK) throw new Error((await source.take(await next())).toString())
      if (length > MAX_CHUNK) throw new Error('its answer makes no sense')
      yield await source.take(length)
    }
  } catch (error) {
    throw new LarderError('NOT_RUNNING', `the gateway did not answer to the end: ${reasonOf(error)}`, { cause: error })
  } finally {
    socket.destroy()
  }
}

function lengthOf(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(number)
  return bytes
}
