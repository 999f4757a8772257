/** What the tests of `devices/` put on the other side of its ports: a broker and a log that remember, a source that obeys the test. */
import type {
  CommandListener,
  Device,
  DeviceBroker,
  PublishOptions,
  Source,
  SourceEvents,
} from '../../../src/devices/ports.ts'
import { REPORT_ROOT } from '../../../src/devices/report.ts'
import type { Log } from '../../../src/kernel/log.ts'
import type { Properties } from '../../../src/mqtt/properties.ts'

export function recordingLog(): { log: Log; lines: string[] } {
  const lines: string[] = []
  const at = (level: string) => (fields: object, message: string) => {
    const { repeated } = fields as { repeated?: number }
    lines.push(`${level} ${message}${repeated === undefined ? '' : ` (${repeated} more)`}`)
  }
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
  return { log, lines }
}

/** Remembers what is published, as `topic payload` with `q1` and `r` behind it for QoS 1 and retained. */
export class RecordingBroker implements DeviceBroker {
  readonly published: string[] = []
  /** The same of what is published, properties only. */
  readonly properties: Properties[] = []
  /** What stands retained below `$SYS/broker/devices/`, which is not in `published`. */
  readonly system = new Map<string, string>()
  readonly #listeners = new Map<string, CommandListener>()
  /** What becomes of a publish; replaced by tests in which the broker is slow or refuses. */
  settle: (topic: string) => Promise<void> = () => Promise.resolve()

  get subscriptions(): string[] {
    return [...this.#listeners.keys()]
  }

  publish(topic: string, payload: Buffer, { qos, retain, properties = {} }: PublishOptions): Promise<void> {
    if (topic.startsWith(`${REPORT_ROOT}/`)) {
      const name = topic.slice(REPORT_ROOT.length + 1)
      if (payload.length === 0) this.system.delete(name)
      else this.system.set(name, `${payload}`)
      return Promise.resolve()
    }
    this.properties.push(properties)
    this.published.push(`${topic} ${payload}${qos === 0 ? '' : ` q${qos}`}${retain ? ' r' : ''}`)
    return this.settle(topic)
  }

  subscribe(filter: string, listener: CommandListener): () => void {
    this.#listeners.set(filter, listener)
    return () => void this.#listeners.delete(filter)
  }

  /** A message on a subscribed topic. */
  send(topic: string, payload: string | Buffer, retained = false): void {
    this.#listeners.get(topic)?.(topic, Buffer.from(payload as string), retained)
  }
}

export class TestSource implements Source {
  events: SourceEvents | undefined
  stops = 0
  readonly commands: string[] = []

  start(events: SourceEvents): Promise<void> {
    this.events = events
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.stops++
    return Promise.resolve()
  }
}

export function device(name: string, more: Partial<Device> = {}): Device {
  return {
    name,
    room: 'Kitchen',
    topic: `/Home/Kitchen/${name}`,
    qos: 0,
    retain: true,
    publish: 'json',
    shape: { scale: 1, offset: 0 },
    ...more,
  }
}

/** A promise that the test settles. */
export function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}
