/**
 * What a torture scenario kills: a gateway that can be started on the data it left behind, on a port that
 * stays the same. Here as a process of this machine; the pulled-plug rig has it in a guest.
 */
import { type GatewayOptions, prepareGateway } from '../support/gateway.ts'

export interface Victim {
  /** On 127.0.0.1. */
  readonly port: number
  /** Resolves when it says that it is ready; rejects when it ends before, as it does when it is killed meanwhile. */
  start(): Promise<void>
  /** Pulls the plug, also during a start. Resolves when it is dead. */
  kill(): Promise<void>
  /** An orderly end. */
  stop(): Promise<void>
  /** What it logged since its last start. */
  readonly log: string
}

/**
 * Queues of offline sessions hold all that a long run brings: a message that a limit pushes out is lost by the rules,
 * and would look like a fault.
 */
export const TORTURE_LIMITS = 'limits: {max_queued_messages: 100000000, max_queued_bytes: 64GiB}'

/** A gateway of this machine that dies by SIGKILL; its data folder is under the system's temporary folder. */
export async function gatewayVictim(options: GatewayOptions = {}) {
  const gateway = await prepareGateway({ ...options, config: `${TORTURE_LIMITS}\n${options.config ?? ''}` })
  return {
    port: gateway.port,
    dataDir: gateway.dataDir,
    start: () => gateway.start(),
    kill: () => gateway.kill(),
    stop: () => gateway.stop(),
    get log() {
      return gateway.stderr
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  } satisfies Victim & AsyncDisposable & { dataDir: string }
}
