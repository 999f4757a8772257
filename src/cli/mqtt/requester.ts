/**
 * `larder rr`: asks and prints the answer. Subscribes to where the answer is to come, publishes the request, which with MQTT 5
 * says so, and ends with the first message that comes there.
 */
import { ReasonCode } from '../../mqtt/reason-codes.ts'
import type { Io, StopSignal } from '../larder.ts'
import { complain, type Machine } from './client.ts'
import { Connection } from './connection.ts'
import { printed } from './format.ts'
import { payloadOf } from './publisher.ts'
import type { ClientSettings } from './settings.ts'
import { openSocket } from './socket.ts'
import { ClientFault, refusal, STATUS_FAILED, STATUS_LOST, STATUS_TIMED_OUT } from './texts.ts'

const REFUSED = 0x80
const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM']

/** How it ends. */
interface Ending {
  readonly status: number
  readonly complaint?: string
  /** Of the DISCONNECT; absent when there is nobody to say goodbye to. */
  readonly goodbye?: number
}

/** Resolves with exit status 0 when an answer came. */
export async function request(settings: ClientSettings, machine: Machine, io: Io): Promise<number> {
  const [topic] = settings.topics
  const { payload: input, responseTopic, version, timeout } = settings
  if (topic === undefined || input === undefined || responseTopic === undefined || input.is === 'lines') {
    throw new ClientFault(
      "Error: All of topic, message, and response topic must be supplied.\n\nUse 'larder rr --help' to see usage.\n",
    )
  }
  const payload = await payloadOf(input, machine.stdin)
  const socket = await openSocket(settings)
  const { clock } = machine
  let end: (ending: Ending) => void = () => {}
  const ended = new Promise<Ending>(resolve => {
    end = resolve
  })
  const connection = new Connection({
    socket,
    settings,
    clock,
    unreleased: new Set(),
    onConnack({ code }) {
      if (code !== 0) end({ status: code, complaint: refusal(code, version) })
      else connection.subscribe([responseTopic])
    },
    onSuback(_, codes) {
      if (codes.every(code => code >= REFUSED)) {
        end({ status: STATUS_FAILED, complaint: 'All subscription requests were denied.', goodbye: 0 })
        return
      }
      const { qos, properties } = settings
      const answerTo = version === 5 ? { responseTopic } : {}
      void connection.publish(topic, { payload, qos, retain: false }, { ...properties.publish, ...answerTo })
    },
    onMessage(message) {
      if (message.retain && settings.withoutRetained) return
      const bytes = printed(message, settings, {
        date: new Date(clock.wall()),
        strftime: machine.strftime,
        complain: line => {
          if (!settings.quiet) complain(io, `${line}\n`)
        },
      })
      machine.stdout.write(Buffer.from(bytes, 'latin1'))
      end({ status: 0, goodbye: 0 })
    },
    ...(settings.debug ? { onDebug: io.stdout } : {}),
  })
  const late =
    timeout === undefined
      ? undefined
      : clock.after(timeout * 1000, () => {
          const goodbye = ReasonCode.DISCONNECT_WITH_WILL_MESSAGE
          end({ status: STATUS_TIMED_OUT, complaint: 'Timed out', goodbye })
        })
  const onSignal = () => end({ status: 0, goodbye: ReasonCode.DISCONNECT_WITH_WILL_MESSAGE })
  for (const signal of STOP_SIGNALS) io.signals.on(signal, onSignal)
  try {
    connection.open()
    const lost = connection.closed.then(
      (): Ending => ({ status: STATUS_LOST, complaint: 'Error: The connection was lost.' }),
    )
    const { status, complaint, goodbye } = await Promise.race([ended, lost])
    if (complaint !== undefined && !settings.quiet) complain(io, `${complaint}\n`)
    if (goodbye === undefined) socket.destroy()
    else await connection.disconnect(goodbye, { silently: status === 0 })
    return status
  } finally {
    late?.cancel()
    for (const signal of STOP_SIGNALS) io.signals.off(signal, onSignal)
  }
}
