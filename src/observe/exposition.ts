/**
 * The table of metrics as Prometheus reads it. The text is prom-client's; each of its metrics is filled from a row of our
 * table when it is asked, so that nothing is counted twice and nothing is global. Times of distributions become seconds.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { METRICS } from './metrics.ts'
import type { Distribution, Figures } from './ports.ts'
import { isDistribution, type Metric, type Sample, samplesOf, seconds, type Value } from './rows.ts'

export class Exposition {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #registry = new Registry()
  #figures: Figures | undefined

  constructor() {
    for (const [name, metric] of Object.entries(METRICS)) this.#register(name, metric)
  }

  /** What is not known stands there with no sample. */
  text(figures: Figures): Promise<string> {
    // All rows are read before this returns: texts that are asked for at once do not mix.
    this.#figures = figures
    return this.#registry.metrics()
  }

  #register(name: string, metric: Metric): void {
    const { help, type, labels: labelNames = [] } = metric
    const settings = { name, help, labelNames, registers: [this.#registry] }
    const read = () => (this.#figures === undefined ? undefined : metric.read(this.#figures))
    const samples = () => {
      const value = read()
      return typeof value === 'object' && isDistribution(value) ? [] : samplesOf(metric, value)
    }
    if (type === 'histogram') new CountedHistogram(settings, read)
    else if (type === 'counter') {
      const collect = (): void => refill(counter, samples(), ({ labels, value }) => counter.inc(labels, value))
      const counter: Counter = new Counter({ ...settings, collect })
    } else {
      const collect = (): void => refill(gauge, samples(), ({ labels, value }) => gauge.set(labels, value))
      const gauge: Gauge = new Gauge({ ...settings, collect })
    }
  }
}

/** Empties a metric and fills it again. One without labels is not 0 but absent when there is nothing to say. */
function refill(
  metric: { reset(): void; remove(labels: object): void },
  samples: readonly Sample[],
  put: (sample: Sample) => void,
): void {
  metric.reset()
  metric.remove({})
  for (const sample of samples) put(sample)
}

/** A histogram that somebody else has counted: prom-client fills its own one observation at a time. */
class CountedHistogram extends Histogram {
  readonly #about: { readonly name: string; readonly help: string }
  readonly #read: () => Value

  constructor(settings: { name: string; help: string; registers: Registry[] }, read: () => Value) {
    super(settings)
    this.#about = settings
    this.#read = read
  }

  /** What the registry asks for the text. */
  async getForPromString() {
    const { name, help } = this.#about
    const value = this.#read()
    const values = typeof value === 'object' && isDistribution(value) ? bucketsOf(name, value) : []
    return { name, help, type: 'histogram', values }
  }
}

/** Counts run up to each bound. */
function bucketsOf(name: string, { bounds, counts, count, sum }: Distribution) {
  let below = 0
  const buckets = bounds.map((bound, i) => {
    below += counts[i] ?? 0
    return { metricName: `${name}_bucket`, labels: { le: `${seconds(bound)}` }, value: below }
  })
  return [
    ...buckets,
    { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, value: seconds(sum) },
    { metricName: `${name}_count`, value: count },
  ]
}
