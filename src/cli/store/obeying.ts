/** What the running gateway answers to commands about its store; `remote.ts` is the other end. */
import { LarderError, reasonOf } from '../../kernel/errors.ts'
import type { ControlAnswer, ControlRequest } from '../control.ts'
import type { StoreAccess } from './access.ts'

/** Undefined when the request is about something else. Never rejects. */
export async function obeyStore(
  { command, options = {} }: ControlRequest,
  store: StoreAccess | undefined,
): Promise<ControlAnswer | undefined> {
  const [about, what = ''] = command.split(' ')
  if (about !== 'store' || !Object.hasOwn(ANSWERS, what)) return undefined
  if (store === undefined)
    return { ok: false, lines: ['this gateway keeps its store in Redis: use the tools of Redis'] }
  try {
    return await (ANSWERS[what] as Answer)(store, options)
  } catch (error) {
    return { ok: false, lines: [error instanceof LarderError ? error.message : reasonOf(error)] }
  }
}

type Answer = (store: StoreAccess, options: Readonly<Record<string, string>>) => Promise<ControlAnswer>

const ANSWERS: Readonly<Record<string, Answer>> = {
  stats: async store => ({ ok: true, lines: [JSON.stringify(await store.statistics())] }),
  compact: async store => ({ ok: true, lines: [JSON.stringify(await store.compact())] }),
  export: async (store, { by = '' }) => ({ ok: true, lines: [], body: store.export(by) }),
  dump: async (store, { topic, client, limit }) => {
    const lines = store.dump({ topic, client, limit: limit === undefined ? undefined : Number(limit) })
    return { ok: true, lines: [], body: asBytes(lines) }
  },
}

async function* asBytes(lines: AsyncIterable<string>): AsyncGenerator<Buffer> {
  // An empty chunk would be the end.
  for await (const line of lines) if (line !== '') yield Buffer.from(line)
}
