/** What MQTT 5 adds, with Debian's mosquitto_pub, mosquitto_sub and mosquitto_rr on the other side. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Broker, REFERENCE, startBroker } from '../support/broker.ts'
import { startGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { Process, run } from '../support/process.ts'
import { pub as runPub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'
import { JsonSub } from './json-sub.ts'

/** `-D PUBLISH …` for each property, in order. */
function properties(packet: 'CONNECT' | 'PUBLISH' | 'SUBSCRIBE' | 'WILL', ...list: (readonly string[])[]): string[] {
  return list.flatMap(property => ['-D', packet, ...property])
}

describe.skipIf(!needs('mosquitto_sub') || !needs('mosquitto_rr'))('the mosquitto clients with MQTT 5', () => {
  let broker: Broker
  let port: number
  beforeAll(async () => {
    broker = await startBroker()
    port = broker.port
  })
  afterAll(() => broker?.[Symbol.asyncDispose]())

  const pub = (payload: string, topic: string, ...args: string[]): Promise<void> =>
    runPub(payload, { port, topic, qos: 1, args: ['-V', '5', ...args] })

  const ALL = properties(
    'PUBLISH',
    ['content-type', 'text/plain'],
    ['payload-format-indicator', '1'],
    ['response-topic', 'answers/1'],
    ['correlation-data', 'question 1'],
    ['user-property', 'room', 'kitchen'],
    ['user-property', 'room', 'hall'],
    ['user-property', 'floor', '1'],
  )
  const PASSED_ON = {
    'content-type': 'text/plain',
    'payload-format-indicator': 1,
    'response-topic': 'answers/1',
    'correlation-data': 'question 1',
  }

  test.each([0, 1, 2])('every property of PUBLISH comes out unaltered and in order at QoS %i', async qos => {
    await using sub = await JsonSub.start(port, '-t', `all/${qos}`, '-q', String(qos))
    await pub('hello', `all/${qos}`, ...ALL)
    const [message] = await sub.received(1)
    expect(message).toMatchObject({ payload: 'hello', qos: Math.min(qos, 1), properties: PASSED_ON })
    expect(message?.userProperties.trim()).toBe('room:kitchen room:hall floor:1')
  })

  test('they are kept with a retained message, and for a session that is away', async () => {
    const session = ['-i', 'keeps-properties', '-c', '-q', '1', '-t', 'kept/#']
    await (await JsonSub.start(port, ...session)).stop()
    await pub('retained', 'kept/a', '-r', ...ALL)
    await using back = await JsonSub.start(port, '-i', 'keeps-properties', '-c', '-q', '1', '-t', 'other')
    await using fresh = await JsonSub.start(port, '-t', 'kept/#')
    for (const [sub, retain] of [
      [back, 0],
      [fresh, 1],
    ] as const) {
      const [message] = await sub.received(1)
      expect(message).toMatchObject({ payload: 'retained', retain, properties: PASSED_ON })
      expect(message?.userProperties.trim()).toBe('room:kitchen room:hall floor:1')
    }
    await pub('', 'kept/a', '-r')
  })

  test('a client of MQTT 3.1.1 gets the message without them', async () => {
    await using sub = await startSub({ port, topics: ['plain'], qos: 1 })
    await pub('hello', 'plain', ...ALL)
    await sub.received(1)
    expect(sub.messages).toEqual([{ topic: 'plain', payload: 'hello', qos: 1, retain: false }])
  })

  test('topic aliases of the publisher are resolved', async () => {
    await using sub = await JsonSub.start(port, '-t', 'alias/#', '-q', '1')
    const lines = ['one', 'two', 'three']
    // mosquitto_pub sends its first line with topic and alias, and the others with the alias alone.
    await runPub(lines, {
      port,
      topic: 'alias/a',
      qos: 1,
      args: ['-V', '5', ...properties('PUBLISH', ['topic-alias', '1'])],
    })
    const messages = await sub.received(lines.length)
    expect(messages.map(({ topic, payload }) => [topic, payload])).toEqual(lines.map(line => ['alias/a', line]))
  })

  test('the subscription identifier comes with each message', async () => {
    await using sub = await JsonSub.start(
      port,
      ...['-t', 'identified/#', ...properties('SUBSCRIBE', ['subscription-identifier', '268435455'])],
    )
    await pub('hello', 'identified/a')
    expect((await sub.received(1))[0]?.properties).toMatchObject({ 'subscription-identifier': 268_435_455 })
  })

  test('the message expiry interval counts down while a message waits, and the message goes when it is over', async () => {
    const session = ['-i', 'late', '-c', '-q', '1', '-t', 'expiry/#']
    await (await JsonSub.start(port, ...session)).stop()
    await pub('short', 'expiry/a', ...properties('PUBLISH', ['message-expiry-interval', '1']))
    await pub('long', 'expiry/a', ...properties('PUBLISH', ['message-expiry-interval', '600']))
    // A retained message that is asked for until it is gone tells that a second and more has passed.
    await pub('clock', 'clock', '-r', ...properties('PUBLISH', ['message-expiry-interval', '2']))
    for (let gone = false; !gone; ) {
      const asked = await run('mosquitto_sub', [
        '-V',
        '5',
        '-h',
        '127.0.0.1',
        '-p',
        String(port),
        '-t',
        'clock',
        '-W',
        '1',
      ])
      gone = asked.lines.length === 0
    }
    await using back = await JsonSub.start(port, ...session)
    const [message] = await back.received(1)
    expect(message?.payload).toBe('long')
    const left = message?.properties?.['message-expiry-interval'] as number
    expect(left).toBeGreaterThan(500)
    expect(left).toBeLessThan(600)
  })

  test('retain as published keeps the RETAIN flag', async () => {
    await using asPublished = await JsonSub.start(port, '-t', 'flag', '--retain-as-published')
    await using usual = await JsonSub.start(port, '-t', 'flag')
    await pub('kept', 'flag', '-r')
    expect((await asPublished.received(1))[0]?.retain).toBe(1)
    expect((await usual.received(1))[0]?.retain).toBe(0)
    await pub('', 'flag', '-r')
  })

  test('a session lasts as long as its expiry interval says: not at all, or past its connection', async () => {
    const session = (expiry: string): string[] => ['-i', `lasts-${expiry}`, '-q', '1', '-t', 'lasts', '-x', expiry]
    for (const expiry of ['0', '600']) await (await JsonSub.start(port, ...session(expiry), '-c')).stop()
    await pub('missed', 'lasts')
    await using none = await JsonSub.start(port, ...session('0'), '-c')
    await using kept = await JsonSub.start(port, ...session('600'), '-c')
    await pub('fence', 'lasts')
    await kept.received(2)
    await none.received(1)
    expect(kept.payloads).toEqual(['missed', 'fence'])
    expect(none.payloads).toEqual(['fence'])
  })

  test('a will has its properties, and is sent after DISCONNECT with reason 4 too', async () => {
    await using watch = await JsonSub.start(port, '-t', 'will/#', '-q', '1')
    const dying = async (name: string, end: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
      const will = ['--will-topic', `will/${name}`, '--will-payload', 'lost', '--will-qos', '1']
      const list = properties(
        'WILL',
        ['content-type', 'text/plain'],
        ['user-property', 'why', name],
        ['response-topic', 'r'],
        ['correlation-data', 'c'],
      )
      await using sub = await JsonSub.start(port, '-t', 'nothing', ...will, ...list)
      await sub.process.kill(end) // at SIGTERM mosquitto_sub disconnects "with will message"
    }
    await dying('killed', 'SIGKILL')
    await dying('asked', 'SIGTERM')
    await watch.received(2)
    expect(watch.messages).toMatchObject(
      ['killed', 'asked'].map(name => ({
        topic: `will/${name}`,
        payload: 'lost',
        properties: { 'content-type': 'text/plain', 'response-topic': 'r', 'correlation-data': 'c' },
        userProperties: `why:${name}`,
      })),
    )
  })

  test('a message that is larger than the client takes is left out, and the next one comes', async () => {
    await using sub = await JsonSub.start(
      port,
      ...['-t', 'size', '-q', '1', ...properties('CONNECT', ['maximum-packet-size', '200'])],
    )
    await pub('x'.repeat(1_000), 'size')
    await pub('small', 'size')
    await sub.received(1)
    expect(sub.payloads).toEqual(['small'])
  })

  test('a shared subscription gives each message to one member', async () => {
    const member = (): Promise<JsonSub> => JsonSub.start(port, '-t', '$share/team/work', '-t', 'fence', '-q', '1')
    await using first = await member()
    await using second = await member()
    const lines = Array.from({ length: 100 }, (_, number) => String(number))
    await runPub(lines, { port, topic: 'work', qos: 1, args: ['-V', '5'] })
    const all = (): string[] => [first, second].flatMap(sub => sub.payloads.filter(payload => payload !== 'fence'))
    await until(() => all().length >= lines.length, { what: () => `100 messages, ${all().length} came` })
    await pub('fence', 'fence')
    for (const sub of [first, second]) {
      await until(() => sub.payloads.includes('fence'), { what: 'the fence' })
      expect(sub.payloads.length).toBeGreaterThan(1)
    }
    expect(all().toSorted((a, b) => Number(a) - Number(b))).toEqual(lines)
  })

  test('an authentication method that the broker does not have is refused', async () => {
    const { code, errors } = await run('mosquitto_pub', [
      ...['-V', '5', '-h', '127.0.0.1', '-p', String(port), '-t', 't', '-m', 'm', '-d'],
      ...properties('CONNECT', ['authentication-method', 'NO-SUCH-METHOD']),
    ])
    expect(code).not.toBe(0)
    expect(errors.join('\n')).toMatch(/Bad authentication method/i)
  })

  describe.each([
    ['5', ['-V', '5']],
    ['3.1.1', ['-V', 'mqttv311']],
  ])('mosquitto_rr with MQTT %s', (version, versionArgs) => {
    test('asks, and gets its answer', async () => {
      await using asked = await JsonSub.start(port, '-t', `ask/${version}`, '-q', '1')
      await using asking = new Process('mosquitto_rr', [
        ...['-h', '127.0.0.1', '-p', String(port), ...versionArgs, '-q', '1'],
        ...['-t', `ask/${version}`, '-e', `answer/${version}`, '-m', 'how warm is it?', '-W', '10'],
        ...(version === '5' ? properties('PUBLISH', ['correlation-data', 'number 7']) : []),
      ])
      const [question] = await asked.received(1)
      expect(question?.payload).toBe('how warm is it?')
      const { 'response-topic': to = `answer/${version}`, 'correlation-data': correlation } = question?.properties ?? {}
      if (version === '5') expect([to, correlation]).toEqual([`answer/${version}`, 'number 7'])
      await pub(
        '21 degrees',
        String(to),
        ...(correlation === undefined ? [] : properties('PUBLISH', ['correlation-data', String(correlation)])),
      )
      expect(await asking.exit).toEqual({ code: 0, signal: null })
      expect(asking.lines).toEqual(['21 degrees'])
    })
  })

  // It starts a gateway of its own, to end it.
  test.skipIf(REFERENCE)('a subscriber is told when the broker shuts down', async () => {
    await using gateway = await startGateway({ config: 'name: Test' })
    await using sub = await JsonSub.start(gateway.port, '-t', 'x')
    await gateway.stop()
    await sub.process.line(line => line === 'Received DISCONNECT (139)') // 0x8B Server shutting down
  })
})
