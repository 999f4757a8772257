/** What was wanted of a figure, in a sentence for tables, and whether it came about. */
import { count } from './command-line.ts'
import type { Cell } from './comparison.ts'
import { OURS, RIVAL } from './contestants.ts'
import type { Figure, Goal, Scenario } from './scenarios.ts'

export interface Verdict {
  /** How many times the rival's figure is ours: above 1 we need less. */
  readonly ratio?: number
  readonly goal?: string
  /** Undefined: not measured, or there is no goal. */
  readonly isReached?: boolean
}

/** `cells` of this run, of all scenarios so far: some goals are about two of them. */
export function judge({ name, goal }: Pick<Scenario, 'name' | 'goal'>, cells: readonly Cell[]): Verdict {
  const of = (broker: string, scenario = name) =>
    cells.find(cell => cell.broker === broker && cell.scenario === scenario)?.figure
  const [ours, theirs] = [of(OURS), of(RIVAL)]
  const ratio = ours === undefined || theirs === undefined ? {} : { ratio: theirs.value / ours.value }
  if (goal === undefined) return ratio
  const other = 'of' in goal ? of(OURS, goal.of) : theirs
  const isReached = ours === undefined ? undefined : reaches(goal, ours, other)
  return { ...ratio, goal: textOf(goal, ours?.unit), ...(isReached === undefined ? {} : { isReached }) }
}

/** `other` is what the goal compares with; without it there is nothing to say. */
function reaches(goal: Goal, ours: Figure, other: Figure | undefined): boolean | undefined {
  if ('most' in goal) return ours.value <= goal.most
  if ('perSecond' in goal) return (ours.rate ?? 0) >= goal.perSecond
  if (other === undefined) return undefined
  if ('rate' in goal) return (ours.rate ?? 0) >= goal.rate * (other.rate ?? Number.NaN)
  if ('less' in goal) return ours.value * goal.less <= other.value
  const isTailShort = !('worst' in goal) || (ours.worst ?? Number.NaN) <= goal.worst
  return ours.value <= goal.times * other.value && isTailShort
}

function textOf(goal: Goal, unit = ''): string {
  if ('most' in goal) return `at most ${goal.most} ${unit}`
  if ('perSecond' in goal) return `${count(goal.perSecond)}/s`
  if ('rate' in goal) return goal.rate === 1 ? 'its rate' : `${goal.rate}× its rate`
  if ('less' in goal) return goal.less === 1 ? 'at par' : `${goal.less}× less`
  if ('of' in goal) return `at most ${goal.times}× “${goal.of}”`
  return `at most ${goal.times}× its figure, worst ${goal.worst} ms`
}
