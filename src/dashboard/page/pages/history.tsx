/** The last day of one number: a curve, and the same hour by hour as a table for those who cannot see it. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { History, ValueView } from '../../api.ts'
import { useAsked } from '../asked.ts'
import { home } from '../gateway.ts'
import { Empty, Failure, Unanswered } from '../parts.tsx'
import { Sheet } from '../sheet.tsx'
import { dateTime, decimalsOf, hourOfDay, named, number } from '../words.ts'

const HOUR = 3_600_000

export function HistorySheet(props: { series: string }) {
  const asked = useAsked<History>(`history?series=${encodeURIComponent(props.series)}`)
  const { title, view } = find(props.series)
  const history = asked.value
  const known = history?.points.some(point => point !== null)
  return (
    <Sheet title={title}>
      <Unanswered asked={asked} />
      {history && !known && <Empty title="Nothing yet">A point is kept for each minute: come back in two.</Empty>}
      {(!history || known) && !asked.refused && <Chart history={history} view={view} />}
      {history && known && <Table history={history} view={view} />}
    </Sheet>
  )
}

function find(series: string): { title: string; view: ValueView | undefined } {
  for (const room of home.value ?? []) {
    for (const thing of room.things) {
      const view = thing.values.find(value => value.series === series)
      if (view !== undefined)
        return { title: view.name ? `${thing.name}: ${named(view.name, view.unit)}` : thing.name, view }
    }
  }
  return { title: 'History', view: undefined }
}

function Chart(props: { history: History | undefined; view: ValueView | undefined }) {
  const box = useRef<HTMLDivElement>(null)
  const failed = useSignal(false)
  const { history, view } = props
  const decimals = typeof view?.value === 'number' ? decimalsOf(view.value, view.deviceClass) : 1
  useEffect(() => {
    if (history === undefined) return
    let gone = false
    let clear = (): void => {}
    const draw = async (): Promise<void> => {
      try {
        const { drawChart } = await import('../chart.ts')
        if (!gone && box.current !== null) clear = drawChart(box.current, history, decimals)
      } catch {
        failed.value = true
      }
    }
    void draw()
    return () => {
      gone = true
      clear()
    }
  }, [history, decimals, failed])
  if (failed.value)
    return <Failure message="The curve could not be loaded." hint="The table below has the same numbers." />
  return <div ref={box} class="chart" aria-hidden="true" />
}

interface Row {
  readonly start: number
  readonly low: number
  readonly high: number
  readonly mean: number
}

function hours(history: History): Row[] {
  const rows = new Map<number, number[]>()
  history.points.forEach((point, index) => {
    if (point === null) return
    const hour = Math.floor((history.start + index * history.step) / HOUR) * HOUR
    const known = rows.get(hour)
    if (known === undefined) rows.set(hour, [point])
    else known.push(point)
  })
  return [...rows].reverse().map(([start, points]) => ({
    start,
    low: Math.min(...points),
    high: Math.max(...points),
    mean: points.reduce((sum, point) => sum + point, 0) / points.length,
  }))
}

function Table(props: { history: History; view: ValueView | undefined }) {
  const { history, view } = props
  const show = (value: number): string => number(value, decimalsOf(value, view?.deviceClass))
  return (
    <details class="more">
      <summary>Hour by hour{history.unit ? `, in ${history.unit}` : ''}</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Lowest</th>
            <th scope="col">Mean</th>
            <th scope="col">Highest</th>
          </tr>
        </thead>
        <tbody>
          {hours(history).map(row => (
            <tr key={row.start}>
              <th scope="row" title={dateTime(row.start)}>
                {hourOfDay(row.start)}
              </th>
              <td>{show(row.low)}</td>
              <td>{show(row.mean)}</td>
              <td>{show(row.high)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}
