/**
 * Where a bridge tells how it is doing: Mosquitto's topic, `1` or `0`, here and if wished upstream, where a will keeps it
 * true; and all there is to say, as JSON, below `$SYS/broker/bridges/`. All of it is retained.
 */
import type { IClientOptions, MqttClient } from 'mqtt'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { ConnectionSettings } from './connection.ts'
import type { BridgeBroker, BridgeSettings, BridgeState } from './ports.ts'

type Settings = BridgeSettings & Pick<ConnectionSettings, 'outgoingRetain' | 'maxQos'>

export class StatusTopics {
  readonly #broker: BridgeBroker
  readonly #settings: Settings
  readonly #log: Log
  readonly #topic: string
  /** As far as an upstream allows them. */
  readonly #upstreamOptions: { readonly qos: QoS; readonly retain: boolean }
  #last = new Map<string, string>()

  constructor(deps: { broker: BridgeBroker; settings: Settings; log: Log }) {
    this.#broker = deps.broker
    this.#settings = deps.settings
    this.#log = deps.log
    const { notificationTopic, clientId, maxQos = 2, outgoingRetain = true } = deps.settings
    this.#upstreamOptions = { qos: Math.min(1, maxQos) as QoS, retain: outgoingRetain }
    this.#topic = notificationTopic ?? `$SYS/broker/connection/${clientId.replace(/[+#]/g, '-')}/state`
  }

  /** The will that an upstream is given. */
  options(): Partial<IClientOptions> {
    if (this.#settings.notifyUpstream !== true) return {}
    return { will: { topic: this.#topic, payload: Buffer.from('0'), ...this.#upstreamOptions } }
  }

  /** Calls `done` when the upstream has acknowledged it. */
  sayHello(client: MqttClient, done: () => void): void {
    if (this.#settings.notifyUpstream === true) client.publish(this.#topic, '1', this.#upstreamOptions, () => done())
    else done()
  }

  /** A DISCONNECT follows, and takes the will away [MQTT-3.1.2-10]. */
  sayGoodbye(client: MqttClient | undefined): void {
    if (this.#settings.notifyUpstream === true) client?.publish(this.#topic, '0', this.#upstreamOptions, ignore)
  }

  /** Tells this gateway. What has not changed is not told again. */
  tell(state: BridgeState): void {
    this.#tell(this.#topic, state.connected ? '1' : '0')
    this.#tell(`$SYS/broker/bridges/${this.#settings.name}`, JSON.stringify(state))
  }

  #tell(topic: string, payload: string): void {
    if (this.#last.get(topic) === payload) return
    this.#last.set(topic, payload)
    this.#broker.publish(topic, Buffer.from(payload), { qos: 0, retain: true }).catch(error => {
      this.#log.warn({ topic, reason: reasonOf(error) }, 'the state of a bridge could not be told')
    })
  }
}

/** When the connection is lost first, the will says it. */
function ignore(): void {}
