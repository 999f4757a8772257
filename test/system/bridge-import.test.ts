/**
 * The same `connection` in a mosquitto.conf, run by Debian's mosquitto and by `larder mosquitto`, in front of a third broker: both
 * carry the same messages both ways, under the same names, and tell of themselves by the same topics.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { outcome, sideBySide } from '../interop/side-by-side.ts'
import { freePort } from '../support/free-port.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { type Sub, startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const { conf, ours, theirs } = sideBySide()

/** Below a `connection`; `{port}` is the other broker's. */
const BRIDGE = [
  'connection cloud',
  'address 127.0.0.1:{port}',
  'remote_clientid cottage',
  'keepalive_interval 20',
  'restart_timeout 1 2',
  'topic up/# out 1',
  'topic # in 1 from/ down/',
  'topic "" out 2 door/bell yard/bell',
  'topic "" in 0 lamp/set yard/lamp',
  'topic notes/# both 2 here/ there/',
  'try_private true',
]

interface Sent {
  /** Whom it is given to. */
  at: 'here' | 'there'
  topic: string
  qos: 0 | 1 | 2
  retain?: boolean
}

const SENT: Sent[] = [
  { at: 'here', topic: 'up/a', qos: 1 },
  { at: 'here', topic: 'up/b', qos: 0, retain: true },
  { at: 'here', topic: 'up/c', qos: 2 },
  { at: 'here', topic: 'private', qos: 1 },
  { at: 'here', topic: 'door/bell', qos: 2 },
  { at: 'here', topic: 'here/notes/1', qos: 2 },
  { at: 'there', topic: 'down/a', qos: 1 },
  { at: 'there', topic: 'down/b/c', qos: 0 },
  { at: 'there', topic: 'yard/lamp', qos: 1 },
  { at: 'there', topic: 'there/notes/2', qos: 1 },
  { at: 'there', topic: 'else', qos: 1 },
]

/** What each side had in the end. */
interface Seen {
  here: string[]
  there: string[]
  /** How the bridge came, as the other broker has it. */
  greeting: string | undefined
  /** What the other broker was told of the bridge, in order. */
  states: string[]
  /** What whoever comes later gets there. */
  retained: string[]
}

async function observe(broker: 'mosquitto' | 'larder', more: readonly string[] = []): Promise<Seen> {
  const upstream = await startMosquitto()
  onTestFinished(() => upstream.remove())
  const port = await freePort()
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence false', ...BRIDGE, ...more]
  const file = conf(lines.join('\n').replaceAll('{port}', String(upstream.port)))
  await using states = await startSub({ port: upstream.port, topics: ['$SYS/broker/connection/#', 'state/#'], qos: 1 })
  await using running = broker === 'larder' ? ours('-v', '-c', file) : theirs('-v', '-c', file)
  expect(await outcome(running)).toBeUndefined()
  await until(() => /Received SUBSCRIBE from cottage[\s\S]*Sending SUBACK to cottage/.test(upstream.logs()), {
    what: () => `a bridge\n${running.transcript()}\n${upstream.logs()}`,
  })
  await using here = await startSub({ port, topics: ['#'], qos: 2 })
  await using there = await startSub({ port: upstream.port, topics: ['#'], qos: 2 })
  for (const { at, topic, qos, retain = false } of SENT) {
    await pub(topic, { port: at === 'here' ? port : upstream.port, topic, qos, retain })
  }
  // When this has come, all of QoS 0 and 1 has.
  const last = (sub: Sub, topic: string) => sub.message(message => message.topic === topic, topic, 20_000)
  await pub('last', { port, topic: 'up/last', qos: 1 })
  await last(there, 'up/last')
  await pub('last', { port: upstream.port, topic: 'down/last', qos: 1 })
  await last(here, 'from/last')
  // One of QoS 2 has come only after its second handshake, which later ones of QoS 1 overtake: here it waits for its like.
  await pub('over', { port, topic: 'over', qos: 2 })
  await last(here, 'over')
  await pub('over', { port: upstream.port, topic: 'over', qos: 2 })
  await last(there, 'over')
  const greeting = /as cottage \((.*)\)\./.exec(upstream.logs())?.[1]
  await running.kill('SIGKILL')
  const isTold = !more.includes('notifications false')
  await until(() => !isTold || states.payloads.at(-1) === '0', { what: () => `a will ${states.payloads}` })
  await using late = await startSub({ port: upstream.port, topics: ['#', '$SYS/broker/connection/#', 'end'], qos: 1 })
  await pub('end', { port: upstream.port, topic: 'end', qos: 1 })
  await last(late, 'end')
  // The state of the bridge is told at QoS 0 on this side: it must wear no card.
  const messages = (sub: Sub) => sub.messages.filter(({ topic }) => !topic.startsWith('state/'))
  const seen = (sub: Sub) =>
    messages(sub)
      .map(({ topic, payload, qos }) => `${topic} ${payload} ${qos}`)
      .sort()
  return {
    here: seen(here),
    there: seen(there),
    retained: late.messages
      .filter(({ retain }) => retain)
      .map(({ topic, payload }) => `${topic} ${payload}`)
      .sort(),
    greeting,
    states: states.messages.map(({ topic, payload }) => `${topic} ${payload}`),
  }
}

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('a connection of mosquitto.conf', () => {
  test.each([
    ['as it is written', []],
    ['in MQTT 5', ['bridge_protocol_version mqttv50']],
    ['with a topic of its own for notices', ['notification_topic state/of/cottage']],
    ['that says nothing of itself', ['notifications false', 'try_private false']],
    ['that keeps retained messages to itself', ['bridge_outgoing_retain false', 'cleansession true']],
  ])('%s', { timeout: 60_000 }, async (_, more) => {
    const wanted = await observe('mosquitto', more)
    const found = await observe('larder', more)
    expect(wanted.there.length).toBeGreaterThan(SENT.length - 2)
    // The rule's QoS 1 counts here also for what was published with QoS 0.
    const raised = wanted.there.map(line => (line === 'up/b up/b 0' ? 'up/b up/b 1' : line))
    // Without a word that a bridge comes, Mosquitto is sent back what it sent; ours knows it.
    expect(found).toEqual({ ...wanted, here: [...new Set(wanted.here)], there: raised })
  })
})
