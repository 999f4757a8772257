/**
 * The way from a command to the gateway that runs on the same data: a socket in the data folder, which only its owner may
 * use. One connection carries one request, a line of JSON, and one answer, another. There is no other way in, so who may
 * not read the data may not tell the gateway anything either.
 */
import { mkdir, open, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'

const SOCKET_NAME = 'control.sock'
/** Bytes of a request or an answer: the faults of a long configuration, with room. */
const MAX_LINE = 1024 * 1024
/** Connections at once: a person's, and a few scripts'. */
const MAX_CONNECTIONS = 16
/** Bytes of a socket's path that the system takes (unix(7), sun_path). */
const MAX_PATH = 107

export interface ControlAnswer {
  readonly ok: boolean
  /** For the person who asked. */
  readonly lines: readonly string[]
}

export interface ControlRequest {
  readonly command: string
  /** Of an answer that programs may read; absent, it is for a person. */
  readonly form?: 'text' | 'json'
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
    void readLine(socket)
      .then(line => answer(requestOf(line)))
      .catch((error): ControlAnswer => ({ ok: false, lines: [reasonOf(error)] }))
      .then(given => socket.end(`${JSON.stringify(given)}\n`))
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
    return JSON.parse(await readLine(socket)) as ControlAnswer
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
function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', chunk => {
      text += chunk
      const end = text.indexOf('\n')
      if (end !== -1) resolve(text.slice(0, end))
      else if (text.length > MAX_LINE) socket.destroy(new Error(`a line has at most ${MAX_LINE} characters`))
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
  })
}
