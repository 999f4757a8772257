/**
 * The scenario of `scripts/bench`: 1 publisher to 1 subscriber, QoS 0. The brokers take turns, so that whatever
 * else the machine does meets them alike; the median of the rounds counts.
 */
import { processorSeconds } from '../../test/support/procfs.ts'
import type { BenchedBroker } from './brokers.ts'
import { median } from './command-line.ts'
import { generateLoad } from './load.ts'

export interface Scenario {
  /** Messages of a round. */
  messages: number
  rounds: number
  /** Bytes. */
  payload: number
  /** Messages in the pipe at most: some thousands keep a broker busy, and few enough that none drops any. */
  window: number
}

export interface Round {
  broker: string
  round: number
  delivered: number
  lost: number
  /** Messages delivered in a second. */
  rate: number
  /** Processor seconds of the broker for a million delivered messages. */
  processor: number
}

export interface Summary {
  broker: string
  /** Median of the rounds' rates. */
  rate: number
  /** Median of the rounds' processor seconds. */
  processor: number
  delivered: number
  lost: number
}

/** Runs all rounds in turns, after one that warms each broker up and is not counted. `tell` hears of each round. */
export async function runThroughput(
  brokers: readonly BenchedBroker[],
  scenario: Scenario,
  tell: (round: Round) => void,
): Promise<Summary[]> {
  for (const broker of brokers) await measure(broker, scenario, 0)
  const rounds: Round[] = []
  for (let round = 1; round <= scenario.rounds; round++) {
    for (const broker of brokers) {
      const measured = await measure(broker, scenario, round)
      rounds.push(measured)
      tell(measured)
    }
  }
  return brokers.map(({ name }) => summarise(name, rounds))
}

async function measure(broker: BenchedBroker, scenario: Scenario, round: number): Promise<Round> {
  const before = await processorSeconds(broker.pid)
  const { delivered, lost, seconds } = await generateLoad({ ...scenario, port: broker.port })
  const used = (await processorSeconds(broker.pid)) - before
  const rate = delivered / seconds
  return { broker: broker.name, round, delivered, lost, rate, processor: (used / delivered) * 1e6 }
}

function summarise(broker: string, rounds: readonly Round[]): Summary {
  const own = rounds.filter(round => round.broker === broker)
  return {
    broker,
    rate: median(own.map(round => round.rate)),
    processor: median(own.map(round => round.processor)),
    delivered: own.reduce((sum, round) => sum + round.delivered, 0),
    lost: own.reduce((sum, round) => sum + round.lost, 0),
  }
}
