/** The store of a running gateway, as its control socket offers it; `obeying.ts` is the other end. */
import { LarderError } from '../../kernel/errors.ts'
import { askGateway, type ControlAnswer } from '../control.ts'
import type { DumpOptions, StoreAccess, StoreStatistics } from './access.ts'

export class RemoteStore implements StoreAccess {
  readonly #dataDir: string

  constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  async *export(by: string): AsyncGenerator<Buffer> {
    const { body } = await this.#ask('export', { by })
    if (body !== undefined) yield* body
  }

  async *dump({ topic, client, limit }: DumpOptions): AsyncGenerator<string> {
    const { body = [] } = await this.#ask('dump', {
      ...(topic === undefined ? {} : { topic }),
      ...(client === undefined ? {} : { client }),
      ...(limit === undefined ? {} : { limit: `${limit}` }),
    })
    for await (const chunk of body) yield chunk.toString()
  }

  async statistics(): Promise<StoreStatistics> {
    return JSON.parse((await this.#ask('stats')).lines[0] ?? '')
  }

  async compact(): Promise<{ before: number; after: number }> {
    return JSON.parse((await this.#ask('compact')).lines[0] ?? '')
  }

  async #ask(what: string, options: Readonly<Record<string, string>> = {}): Promise<ControlAnswer> {
    const answer = await askGateway(this.#dataDir, { command: `store ${what}`, options })
    if (!answer.ok) throw new LarderError('STORE_FAILED', answer.lines.join(' ').replace(/^larder: /, ''))
    return answer
  }
}
