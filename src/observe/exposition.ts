/**
 * The table of metrics as Prometheus reads it: its text format, version 0.0.4. Times of distributions become seconds,
 * and their counts run up to each bound.
 */
import { isDistribution, METRICS, type Metric, type Value } from './metrics.ts'
import type { Distribution, Figures } from './ports.ts'

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** What is not known stands there with no sample. */
export function exposition(figures: Figures): string {
  const lines: string[] = []
  for (const [name, metric] of Object.entries<Metric>(METRICS)) {
    lines.push(`# HELP ${name} ${escaped(metric.help)}`, `# TYPE ${name} ${metric.type}`)
    lines.push(...samples(name, metric.label, metric.read(figures)))
  }
  return `${lines.join('\n')}\n`
}

function samples(name: string, label: string | undefined, value: Value): string[] {
  if (value === undefined) return []
  if (typeof value === 'number') return [`${name} ${written(value)}`]
  if (isDistribution(value)) return buckets(name, value)
  return Object.entries(value).map(([of, number]) => `${name}{${label}="${quoted(of)}"} ${written(number)}`)
}

function buckets(name: string, { bounds, counts, count, sum }: Distribution): string[] {
  let below = 0
  const lines = bounds.map((bound, i) => {
    below += counts[i] ?? 0
    return `${name}_bucket{le="${bound / 1000}"} ${below}`
  })
  return [...lines, `${name}_bucket{le="+Inf"} ${count}`, `${name}_sum ${sum / 1000}`, `${name}_count ${count}`]
}

function written(number: number): string {
  if (Number.isFinite(number) || Number.isNaN(number)) return `${number}`
  return number > 0 ? '+Inf' : '-Inf'
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function quoted(text: string): string {
  return escaped(text).replaceAll('"', '\\"')
}
