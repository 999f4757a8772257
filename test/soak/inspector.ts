/**
 * The gateway's heap, asked of Node's own inspector in the running process: nothing in the gateway knows of it.
 * The process is started with INSPECTED in its environment, and says on stderr where it listens.
 */
import { WebSocket } from 'ws'
import { within } from '../support/wait.ts'

/** Lets the inspector listen on any free port of this machine. */
export const INSPECTED = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

const ADDRESS = /^Debugger listening on (ws:\S+)$/m
/** ms; collecting the garbage of a heap of some hundred MB takes less than a second. */
const PATIENCE = 20_000

/** In bytes. */
export interface Heap {
  heapUsed: number
  /** Buffers and other memory outside the heap that its objects hold. */
  external: number
}

export class Inspector implements Disposable {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (result: unknown) => void>()
  #id = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', data => {
      const { id, result } = JSON.parse(String(data)) as { id: number; result: unknown }
      this.#waiting.get(id)?.(result)
      this.#waiting.delete(id)
    })
    socket.on('error', () => {}) // a process that ends is told by others
  }

  /** `stderr`: what the process has said so far. */
  static async attach(stderr: string): Promise<Inspector> {
    const address = ADDRESS.exec(stderr)?.[1]
    if (address === undefined) throw new Error(`the gateway does not say where its inspector listens:\n${stderr}`)
    const socket = new WebSocket(address)
    await within(new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)), {
      what: 'the inspector',
    })
    return new Inspector(socket)
  }

  async heap(): Promise<Heap> {
    const expression = 'process.memoryUsage()'
    const { result } = (await this.#ask('Runtime.evaluate', { expression, returnByValue: true })) as {
      result: { value: Heap }
    }
    return result.value
  }

  /** The heap when all garbage is collected: what is really held. */
  async liveHeap(): Promise<Heap> {
    await this.#ask('HeapProfiler.collectGarbage', {})
    return await this.heap()
  }

  [Symbol.dispose](): void {
    this.#socket.terminate()
  }

  #ask(method: string, params: object): Promise<unknown> {
    const id = ++this.#id
    const answer = new Promise<unknown>(resolve => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params }))
    return within(answer, { what: `the inspector's answer to ${method}`, timeout: PATIENCE })
  }
}
