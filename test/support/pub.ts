/** `mosquitto_pub` as a process: a real publisher that was written by others. */
import { run } from './process.ts'

export interface PubOptions {
  port: number
  topic: string
  qos?: 0 | 1 | 2
  retain?: boolean
  args?: readonly string[]
  /** Deadline in ms. */
  timeout?: number
}

/**
 * Publishes one message, or one for each line when `payload` is a list (`-l`), and resolves once it
 * ended with exit code 0: with QoS 1 and 2 all are acknowledged then.
 */
export async function pub(payload: string | readonly string[], options: PubOptions): Promise<void> {
  const lines = typeof payload !== 'string'
  // An empty payload has an option of its own (`-n`): it is how a retained message is taken away.
  const content = lines ? ['-l'] : payload === '' ? ['-n'] : ['-m', payload]
  const { port, topic, qos = 0, retain = false, args = [], timeout } = options
  const result = await run(
    'mosquitto_pub',
    [
      '-h',
      '127.0.0.1',
      '-p',
      String(port),
      '-q',
      String(qos),
      '-t',
      topic,
      ...content,
      ...(retain ? ['-r'] : []),
      ...args,
    ],
    {
      ...(lines ? { input: payload.map(line => `${line}\n`).join('') } : {}),
      ...(timeout === undefined ? {} : { timeout }),
    },
  )
  if (result.code !== 0) {
    throw new Error(`mosquitto_pub ended with ${result.signal ?? result.code}\n${result.errors.join('\n')}`)
  }
}
