import { beforeAll, describe, expect, test } from 'vitest'
import type { Credentials } from '../../../src/access/credentials.ts'
import type { Step } from '../../../src/access/ports.ts'
import { ScramAuthentication } from '../../../src/access/scram.ts'
import { ScramClient } from '../../support/scram-client.ts'
import { converse, credentialsOf, lineOf, SALT } from './accounts.ts'

const METHOD = 'SCRAM-SHA-256'
/** RFC 7677 §3. */
const RFC = {
  clientNonce: 'rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
}
const MOSQUITTO =
  '$7$101$sWWOkQE9PrhLU5de$0MGhYgk9SN84SLiW71ztj8jj8t+AavnUlIU3brmdzH5WP3233KMt3M8ifS5JwIzyCq/XNkqyR1v8opo5ayZFmg=='

let credentials: Credentials

beforeAll(async () => {
  credentials = credentialsOf(
    await lineOf('user', 'pencil'),
    await lineOf('a,b=c', 'comma'),
    await lineOf('Ren\u00e9', 'IX'),
    `mosquitto:${MOSQUITTO}`,
  )
})

const scram = () => new ScramAuthentication({ credentials, nonce: () => RFC.serverNonce })

const begin = () => {
  const conversation = scram().begin(METHOD)
  if (conversation === undefined) throw new Error(`no ${METHOD}`)
  return conversation
}
const say = (step: Step) => ('data' in step ? { ...step, data: step.data?.toString() } : step)

test('the conversation of RFC 7677 §3', async () => {
  const conversation = begin()
  expect(say(await conversation.step(Buffer.from(`n,,n=user,r=${RFC.clientNonce}`)))).toEqual({
    kind: 'continue',
    data: RFC.serverFirst,
  })
  expect(say(await conversation.step(Buffer.from(RFC.clientFinal)))).toEqual({
    kind: 'success',
    data: RFC.serverFinal,
    userName: 'user',
  })
})

test('the client of these tests speaks as RFC 7677 §3 does', () => {
  const client = new ScramClient({ userName: 'user', password: 'pencil', nonce: RFC.clientNonce })
  expect(client.first().toString()).toBe(`n,,n=user,r=${RFC.clientNonce}`)
  expect(client.final(Buffer.from(RFC.serverFirst)).toString()).toBe(RFC.clientFinal)
  expect(client.accepts(Buffer.from(RFC.serverFinal))).toBe(true)
})

test('methods that there are not', () => {
  for (const method of ['SCRAM-SHA-1', 'SCRAM-SHA-256-PLUS', 'scram-sha-256', 'PLAIN', '', '__proto__']) {
    expect(scram().begin(method)).toBeUndefined()
  }
})

describe('lets in', () => {
  test.each([
    ['a client that could bind channels', { userName: 'user', password: 'pencil', gs2Header: 'y,,' }, 'user'],
    ['who asks to be itself', { userName: 'user', password: 'pencil', gs2Header: 'n,a=user,' }, 'user'],
    ['a name with comma and equals sign', { userName: 'a,b=c', password: 'comma' }, 'a,b=c'],
    ['a name in another form of Unicode', { userName: 'Rene\u0301', password: 'IX' }, 'Ren\u00e9'],
  ])('%s', async (_, options, userName) => {
    const client = new ScramClient(options)
    const step = await converse(client, begin())
    expect(step).toMatchObject({ kind: 'success', userName })
    expect(client.accepts(step.kind === 'success' ? step.data : undefined)).toBe(true)
  })

  test('a password that SASLprep changes, by an entry that was made of it', async () => {
    const entry = await lineOf('x', 'I\u00adX')
    const over = new ScramAuthentication({ credentials: credentialsOf(entry) })
    const client = new ScramClient({ userName: 'x', password: 'IX' })
    expect(await converse(client, over.begin(METHOD))).toMatchObject({ kind: 'success' })
  })

  test('extensions that are optional', async () => {
    expect(await begin().step(Buffer.from('n,,n=user,r=abc,x=1,Y=ü'))).toMatchObject({ kind: 'continue' })
  })
})

describe('keeps out', () => {
  test.each([
    ['a wrong password', { userName: 'user', password: 'Pencil' }],
    ['a user that does not exist', { userName: 'nobody', password: 'pencil' }],
    ['a user whose password another kind of hash holds', { userName: 'mosquitto', password: 'secret1' }],
    ['a name from the prototype of objects', { userName: '__proto__', password: 'pencil' }],
  ])('%s, in the same words', async (_, options) => {
    expect(await converse(new ScramClient(options), begin())).toEqual({
      kind: 'refuse',
      reason: 'wrong user name or password',
    })
  })

  test.each([
    ['nothing', undefined, 'no authentication data'],
    ['empty data', '', 'malformed'],
    ['more than 1 KiB', `n,,n=user,r=${'r'.repeat(1_024)}`, '1024 bytes'],
    ['what is not UTF-8', Buffer.from([0x6e, 0x2c, 0x2c, 0xff]), 'not text'],
    ['NUL', 'n,,n=us\0er,r=abc', 'not text'],
    ['channel binding', 'p=tls-unique,,n=user,r=abc', 'channel binding'],
    ['another GS2 flag', 'z,,n=user,r=abc', 'malformed'],
    ['no GS2 header', 'n=user,r=abc', 'malformed'],
    ['who wants to act as another', 'n,a=a=2Cb=3Dc,n=user,r=abc', 'act as another'],
    ['an empty authorization identity', 'n,a=,n=user,r=abc', 'malformed'],
    ['a mandatory extension', 'n,,m=1,n=user,r=abc', 'malformed'],
    ['a mandatory extension in the wrong place', 'n,,n=user,r=abc,m=1', 'malformed'],
    ['an attribute twice', 'n,,n=user,r=abc,r=abc', 'malformed'],
    ['no user name', 'n,,n=,r=abc', 'malformed'],
    ['a user name of nothing', 'n,,n=\u00ad,r=abc', 'prohibited'],
    ['a user name with a control', 'n,,n=us\ter,r=abc', 'prohibited'],
    ['another escape', 'n,,n=us=41er,r=abc', '=2C'],
    ['half an escape', 'n,,n=user=2,r=abc', '=2C'],
    ['another escape, of the identity', 'n,a=us=er,n=user,r=abc', '=2C'],
    ['no nonce', 'n,,n=user', 'malformed'],
    ['an empty nonce', 'n,,n=user,r=', 'malformed'],
    ['a nonce that is not printable', 'n,,n=user,r=a b', 'malformed'],
    ['a line end after it', 'n,,n=user,r=abc\n', 'malformed'],
    ['an end without an attribute', 'n,,n=user,r=abc,', 'malformed'],
  ])('a first message with %s', async (_, message, reason) => {
    const conversation = begin()
    const data = typeof message === 'string' ? Buffer.from(message) : message
    expect(await conversation.step(data)).toEqual({ kind: 'refuse', reason: expect.stringContaining(reason) })
    const again = await conversation.step(Buffer.from(`n,,n=user,r=${RFC.clientNonce}`))
    expect(again).toEqual({ kind: 'refuse', reason: 'the authentication is over' })
  })

  test.each<[string, (final: string) => string, string]>([
    ['nothing', () => '', 'malformed'],
    ['the first message', () => `n,,n=user,r=${RFC.clientNonce}`, 'malformed'],
    ['no proof', final => final.replace(/,p=.*/, ''), 'malformed'],
    ['a short proof', final => final.replace(/p=.*/, 'p=YWJj'), 'malformed'],
    ['a proof that is not base64', final => final.replace(/p=.*/, `p=${'*'.repeat(44)}`), 'malformed'],
    ['a proof with spare bits set', final => final.replace('dVQ=', 'dVR='), 'malformed'],
    ['a proof without padding', final => final.slice(0, -1), 'malformed'],
    ['something after the proof', final => `${final},x=1`, 'malformed'],
    [
      'an extension that the proof is not about',
      final => final.replace(',p=', ',x=1,p='),
      'wrong user name or password',
    ],
    ['a mandatory extension', final => final.replace(',p=', ',m=1,p='), 'malformed'],
    ["the client's nonce alone", final => final.replace(RFC.serverNonce, ''), 'nonce'],
    ['another nonce', final => final.replace(RFC.serverNonce, 'x'), 'nonce'],
    ['another GS2 header', final => final.replace('biws', 'eSws'), 'channel binding'],
    ['a channel bound', final => final.replace('biws', 'biwsYWJj'), 'channel binding'],
  ])('a final message with %s', async (_, change, reason) => {
    const conversation = begin()
    await conversation.step(Buffer.from(`n,,n=user,r=${RFC.clientNonce}`))
    expect(await conversation.step(Buffer.from(change(RFC.clientFinal)))).toEqual({
      kind: 'refuse',
      reason: expect.stringContaining(reason),
    })
    const again = await conversation.step(Buffer.from(RFC.clientFinal))
    expect(again).toEqual({ kind: 'refuse', reason: 'the authentication is over' })
  })

  test('a good conversation that is played again', async () => {
    const over = new ScramAuthentication({ credentials })
    const conversation = over.begin(METHOD)
    await conversation?.step(Buffer.from(`n,,n=user,r=${RFC.clientNonce}`))
    expect(await conversation?.step(Buffer.from(RFC.clientFinal))).toMatchObject({ kind: 'refuse' })
  })

  test('a second success of one conversation', async () => {
    const conversation = begin()
    await conversation.step(Buffer.from(`n,,n=user,r=${RFC.clientNonce}`))
    expect(await conversation.step(Buffer.from(RFC.clientFinal))).toMatchObject({ kind: 'success' })
    expect(await conversation.step(Buffer.from(RFC.clientFinal))).toMatchObject({ kind: 'refuse' })
  })
})

describe('does not tell who exists', () => {
  /** Salt and iterations, as a stranger gets to see them. */
  const ask = async (over: ScramAuthentication, userName: string) => {
    const step = await over.begin(METHOD)?.step(Buffer.from(`n,,n=${userName},r=abc`))
    if (step?.kind !== 'continue') throw new Error('refused')
    const [, salt, iterations] = /,s=(.*),i=(.*)$/.exec(step.data.toString()) ?? []
    return { salt, iterations, bytes: Buffer.from(salt ?? '', 'base64').length }
  }
  const names = Array.from({ length: 40 }, (_, i) => `nobody${i}`)

  test('a name that nobody has keeps its salt, another name has another one', async () => {
    const over = scram()
    const first = await Promise.all(names.map(name => ask(over, name)))
    expect(await Promise.all(names.map(name => ask(over, name)))).toEqual(first)
    expect(new Set(first.map(({ salt }) => salt)).size).toBe(names.length)
    expect(first.map(({ salt }) => salt)).not.toContain(SALT.toString('base64'))
    expect((await ask(scram(), 'nobody0')).salt).not.toBe(first[0]?.salt)
  })

  test('a user without SCRAM keys looks like anybody', async () => {
    const over = scram()
    expect(await ask(over, 'mosquitto')).toMatchObject({ bytes: SALT.length, iterations: '4096' })
    expect((await ask(over, 'mosquitto')).salt).toBe((await ask(over, 'mosquitto')).salt)
  })

  test('with the same secret the salts outlive a reload', async () => {
    const decoySecret = Buffer.from('a secret that is kept')
    const over = () => new ScramAuthentication({ credentials, decoySecret })
    expect(await ask(over(), 'nobody')).toEqual(await ask(over(), 'nobody'))
  })

  test('decoys cost what users cost', async () => {
    const salts = [Buffer.alloc(16, 1), Buffer.alloc(64, 2)] as const
    const mixed = credentialsOf(
      await lineOf('x', 'x', { salt: salts[0] }),
      await lineOf('y', 'y', { salt: salts[1], iterations: 5_000 }),
    )
    const over = new ScramAuthentication({ credentials: mixed, decoySecret: Buffer.from('always the same') })
    const seen = await Promise.all(names.map(name => ask(over, name)))
    const kinds = new Set(seen.map(({ iterations, bytes }) => `${iterations} ${bytes}`))
    expect([...kinds].sort()).toEqual(['4096 16', '5000 64'])
  })

  test('a file without SCRAM users asks everybody the same', async () => {
    const over = new ScramAuthentication({ credentials: credentialsOf(`mosquitto:${MOSQUITTO}`) })
    expect(await ask(over, 'mosquitto')).toMatchObject({ bytes: 16, iterations: '4096' })
    expect(await converse(new ScramClient({ userName: 'x', password: 'x' }), over.begin(METHOD))).toMatchObject({
      kind: 'refuse',
    })
  })
})

test('nonces are long, printable and never the same', async () => {
  const over = new ScramAuthentication({ credentials })
  const seen = new Set<string>()
  for (let i = 0; i < 100; i++) {
    const step = await over.begin(METHOD)?.step(Buffer.from('n,,n=user,r=abc'))
    if (step?.kind !== 'continue') throw new Error('refused')
    const nonce = /^r=abc([!-+\--~]{24,}),/.exec(step.data.toString())?.[1]
    expect(nonce).toBeDefined()
    seen.add(nonce ?? '')
  }
  expect(seen.size).toBe(100)
})
