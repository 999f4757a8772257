/**
 * What a row of the table of metrics is, and how its numbers are read: one; several, told apart by a label or by
 * more than one; or a distribution.
 */
import type { Distribution, Figures } from './ports.ts'

/** One number of a row with labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A number; numbers by the value of the row's one label; samples of a row with several; a distribution. Undefined: not known here. */
export type Value = number | undefined | Readonly<Record<string, number>> | readonly Sample[] | Distribution

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Names of its labels. */
  readonly labels?: readonly string[]
  read(figures: Figures): Value
}

export const seconds = (milliseconds: number) => milliseconds / 1000

export function counter(help: string, read: (figures: Figures) => number | undefined): Metric {
  return { type: 'counter', help, read }
}

export function gauge(help: string, read: (figures: Figures) => number | undefined): Metric {
  return { type: 'gauge', help, read }
}

/** A row with one label. */
export function by(
  label: string,
  type: 'counter' | 'gauge',
  help: string,
  read: (figures: Figures) => Readonly<Record<string, number>>,
): Metric {
  return { type, help, labels: [label], read }
}

/** A gauge with several labels. */
export function gauges(labels: readonly string[], help: string, read: (figures: Figures) => readonly Sample[]): Metric {
  return { type: 'gauge', help, labels, read }
}

export function isDistribution(value: Exclude<Value, number | undefined>): value is Distribution {
  return Array.isArray((value as Distribution).bounds)
}

/** The numbers of a row that is no distribution. */
export function samplesOf(
  { labels: [label = ''] = [] }: Metric,
  value: Exclude<Value, Distribution>,
): readonly Sample[] {
  if (value === undefined) return []
  if (typeof value === 'number') return [{ labels: {}, value }]
  if (Array.isArray(value)) return value
  return Object.entries(value).map(([of, number]) => ({ labels: { [label]: of }, value: number }))
}
