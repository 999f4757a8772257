/** SCRAM against clients and a line between them that do anything at all. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { readPasswordFile } from '../../../src/access/credentials.ts'
import type { Conversation } from '../../../src/access/ports.ts'
import { saslprep } from '../../../src/access/saslprep.ts'
import { ScramAuthentication } from '../../../src/access/scram.ts'
import { ScramClient } from '../../support/scram-client.ts'
import { converse, credentialsOf, lineOf } from '../../unit/access/accounts.ts'

const METHOD = 'SCRAM-SHA-256'
const USER = { userName: 'Ren\u00e9,=', password: 'pencil' }

let scram: ScramAuthentication

beforeAll(async () => {
  scram = new ScramAuthentication({ credentials: credentialsOf(await lineOf(USER.userName, USER.password)) })
})

function begin(): Conversation {
  const conversation = scram.begin(METHOD)
  if (conversation === undefined) throw new Error(`no ${METHOD}`)
  return conversation
}

/** From mere bytes to what nearly is a message. */
const piece = fc.constantFrom(
  ...['n', 'y', 'p', ',', '=', 'n=', 'r=', 'a=', 'm=', 'c=', 'p=', 'x=', '=2C', '=3D', 'biws', 'user', USER.userName],
  ...['n,,', 'n,,n=', ',r=', ',p=', 'fyko', '\0', '\ud800', '\u00e9', ' ', `${'A'.repeat(43)}=`, 'A'.repeat(500)],
)
const garbage = fc.oneof(
  fc.constant(undefined),
  fc.uint8Array({ maxLength: 2_000 }).map(bytes => Buffer.from(bytes)),
  fc.string({ unit: 'binary', maxLength: 100 }).map(text => Buffer.from(text)),
  fc.array(piece, { maxLength: 20 }).map(pieces => Buffer.from(pieces.join(''))),
)

describe('garbage', () => {
  test('from the start never throws and never succeeds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(garbage, { minLength: 1, maxLength: 4 }), async messages => {
        const conversation = begin()
        for (const message of messages) expect((await conversation.step(message)).kind).not.toBe('success')
      }),
      { numRuns: 2_000 },
    )
  })

  test('instead of the final message is refused, and the final message after it', async () => {
    await fc.assert(
      fc.asyncProperty(garbage, async message => {
        const conversation = begin()
        const client = new ScramClient(USER)
        const first = await conversation.step(client.first())
        if (first.kind !== 'continue') throw new Error('refused')
        expect((await conversation.step(message)).kind).toBe('refuse')
        expect((await conversation.step(client.final(first.data))).kind).toBe('refuse')
      }),
    )
  })

  test('as the proof is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async proof => {
        const conversation = begin()
        const client = new ScramClient(USER)
        const first = await conversation.step(client.first())
        if (first.kind !== 'continue') throw new Error('refused')
        const nonce = /^r=([^,]+)/.exec(first.data.toString())?.[1]
        const final = Buffer.from(`c=biws,r=${nonce},p=${Buffer.from(proof).toString('base64')}`)
        expect(await conversation.step(final)).toEqual({ kind: 'refuse', reason: 'wrong user name or password' })
      }),
    )
  })

  test('as a password file gives credentials or faults, never an error', () => {
    const line = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^\w*:?\$?(6|7|scram-sha-256)\$[\w$+/=]*$/))
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), lines => {
        const text = lines.join('\n')
        const read = readPasswordFile(text, 'passwords')
        const asked = text.split('\n').filter(content => content.trim() !== '' && !content.startsWith('#')).length
        if ('faults' in read) expect(read.faults.length).toBeLessThanOrEqual(asked)
        // Whoever wrote no SCRAM line has no SCRAM user.
        else expect(read.credentials.scramUsers.length).toBeLessThanOrEqual(asked)
      }),
      { numRuns: 1_000 },
    )
  })
})

test('one byte that changes in any message keeps them apart', async () => {
  const cases = fc.record({
    message: fc.nat(3),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    change: fc.integer({ min: 1, max: 255 }),
    gs2Header: fc.constantFrom('n,,', 'y,,', 'n,a=Ren\u00e9=2C=3D,'),
  })
  const changedEach = [0, 0, 0, 0]
  await fc.assert(
    fc.asyncProperty(cases, async ({ message, at, change, gs2Header }) => {
      let sent = 0
      const carry = (data: Buffer): Buffer => {
        if (sent++ !== message) return data
        changedEach[message]!++
        const changed = Buffer.from(data)
        changed[Math.floor(at * data.length)]! ^= change
        return changed
      }
      const conversation = begin()
      const client = new ScramClient({ ...USER, gs2Header })
      const first = await conversation.step(carry(client.first()))
      if (first.kind !== 'continue') return
      const final = finalOf(client, carry(first.data))
      if (final === undefined) return
      const last = await conversation.step(carry(final))
      if (last.kind !== 'success') return
      // The server was content: then it is its own last message that changed, and the client is not.
      expect(message).toBe(3)
      expect(client.accepts(carry(last.data ?? Buffer.alloc(0)))).toBe(false)
    }),
    { numRuns: 600 },
  )
  expect(Math.min(...changedEach)).toBeGreaterThan(50)
})

/** The client's final message, or undefined when it turns the server's down. */
function finalOf(client: ScramClient, serverFirst: Buffer): Buffer | undefined {
  try {
    return client.final(serverFirst)
  } catch {
    return undefined
  }
}

test('whoever has an entry gets in with its password, and with no other', async () => {
  const prepared = (text: string) => text.trim() === text && saslprep(text) === text
  const text = fc.string({ unit: 'grapheme', maxLength: 20 }).map(made => saslprep(made) ?? '')
  const name = text.map(made => made.replaceAll(/[:#]/g, ',')).filter(prepared)
  const password = text.filter(prepared)
  await fc.assert(
    fc.asyncProperty(name, password, async (userName, secret) => {
      const over = new ScramAuthentication({ credentials: credentialsOf(await lineOf(userName, secret)) })
      const client = new ScramClient({ userName, password: secret })
      const step = await converse(client, over.begin(METHOD))
      expect(step).toMatchObject({ kind: 'success', userName })
      expect(client.accepts(step.kind === 'success' ? step.data : undefined)).toBe(true)
      const other = new ScramClient({ userName, password: `${secret}x` })
      expect((await converse(other, over.begin(METHOD))).kind).toBe('refuse')
    }),
  )
})
