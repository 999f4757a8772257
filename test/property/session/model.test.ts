/**
 * Sessions against a reference model of them: clients connect, with every version and every kind of session,
 * subscribe, publish, acknowledge or not, vanish and come back, and the gateway is stopped and started in the
 * middle of it. After each step everybody has received exactly what the model says: what was missed, in order;
 * repeats only where the standard wants them, with their identifiers; never more in flight than the window; and
 * the session present flag of every CONNACK.
 *
 * LARDER_MODEL_RUNS sets how many cases are tried; LARDER_TEST_BROKER=mosquitto asks Debian's Mosquitto
 * instead, without the steps that it is known to take otherwise.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createGateway, type Gateway, silentLog } from '../../../src/index.ts'
import { REFERENCE } from '../../support/broker.ts'
import { type Mosquitto, startMosquitto } from '../../support/mosquitto.ts'
import { type BrokerUnderTest, Household } from './household.ts'
import type { Tally } from './reference.ts'
import { type Choice, cases, type Step, take } from './steps.ts'

const RUNS = Number(process.env.LARDER_MODEL_RUNS ?? 100)
/** Messages in flight to one client: few, so that they are often reached. */
const WINDOW = 4
/** Deadline in ms for what takes milliseconds: a loaded machine gets more. */
const PATIENCE = 5_000
/** The same once something has failed, while the shortest case is looked for. */
const IMPATIENCE = 500
/** Longest time in ms for a run with a failure: finding the shortest case that fails takes many tries. */
const TIME_LIMIT = 150_000

const CHOICE: Choice = REFERENCE
  ? { versions: [3, 4], window: 1_000, isSimple: true }
  : { versions: [3, 4, 5], window: WINDOW, isSimple: false }

/** The gateway in this process, on a data folder of its own. */
class GatewayUnderTest implements BrokerUnderTest {
  readonly #dataDir: string
  #gateway: Gateway | undefined

  constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  get port(): number {
    return Number(new URL(this.#gateway?.addresses()[0] as string).port)
  }

  async start(): Promise<void> {
    this.#gateway = createGateway(
      {
        data_dir: this.#dataDir,
        listeners: ['mqtt://127.0.0.1:0'],
        limits: { max_inflight: WINDOW },
        store: { commit_delay: '1ms' },
      },
      { log: silentLog },
    )
    await this.#gateway.start()
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop()
    this.#gateway = undefined
  }
}

class MosquittoUnderTest implements BrokerUnderTest {
  #mosquitto: Mosquitto | undefined

  get port(): number {
    return this.#mosquitto?.port as number
  }

  async start(): Promise<void> {
    if (this.#mosquitto === undefined) {
      const config = ['persistence true', 'persistence_location {dir}/', 'max_inflight_messages 1000']
      this.#mosquitto = await startMosquitto({ config })
    } else {
      await this.#mosquitto.restart()
    }
  }

  async stop(): Promise<void> {
    await this.#mosquitto?.stop()
  }

  async remove(): Promise<void> {
    await this.#mosquitto?.remove()
  }
}

async function play(steps: readonly Step[], patience: number): Promise<Tally> {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-model-'))
  const broker = REFERENCE ? new MosquittoUnderTest() : new GatewayUnderTest(dataDir)
  const household = new Household({ broker, window: CHOICE.window, patience, saysGoodbye: !REFERENCE })
  const trace: string[] = []
  try {
    await household.open()
    for (const step of steps) await take(step, household, trace)
    return household.reference.tally
  } catch (error) {
    throw new Error(`${(error as Error).message}\n  ${trace.join('\n  ')}`, { cause: error })
  } finally {
    await household.close()
    if (broker instanceof MosquittoUnderTest) await broker.remove()
    await rm(dataDir, { recursive: true, force: true })
  }
}

test('every client receives exactly what a model of sessions says', { timeout: 2 * TIME_LIMIT }, async () => {
  const total: Tally = { sent: 0, sentAgain: 0, releasedAgain: 0 }
  let patience = PATIENCE
  const property = fc.asyncProperty(cases(CHOICE), async steps => {
    const tally = await play(steps, patience).catch(error => {
      patience = IMPATIENCE
      throw error
    })
    for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key]
  })
  const result = await fc.check(property, { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT })
  if (result.failed) {
    const { message } = result.errorInstance as Error
    throw new Error(`${message}\n(seed ${result.seed}, path '${result.counterexamplePath}')`)
  }
  console.log(
    `${RUNS} cases: ${total.sent} messages sent, ${total.sentAgain} of them again, and ${total.releasedAgain} PUBRELs`,
  )
  for (const count of Object.values(total)) expect(count).toBeGreaterThan(0)
})
