/** The curve of a history, drawn by uPlot. Loaded when a history is opened, and not before. */
import uPlot from 'uplot'
import type { History } from '../api.ts'
import { dayOfWeek, hourOfDay, minuteOfDay, number } from './words.ts'

/** px; as high as CSS reserves. */
const HEIGHT = 220
const AXIS_WIDTH = 52

/** Draws into `box`; the answer takes it away. */
export function drawChart(box: HTMLElement, history: History, decimals: number): () => void {
  const style = getComputedStyle(box)
  const colour = (name: string): string => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
    font: `12px ${style.fontFamily}`,
  }
  const chart = new uPlot(
    {
      width: box.clientWidth,
      height: HEIGHT,
      legend: { show: true },
      cursor: { y: false, drag: { x: false, y: false } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(timeOf), space: 64 },
        { ...axis, size: AXIS_WIDTH, values: (_, ticks) => ticks.map(tick => number(tick, tickDecimals(ticks))) },
      ],
      series: [
        { label: 'Time', value: (_, at) => (at === null ? '–' : hourOfDay(at * 1000)) },
        {
          label: 'Value',
          stroke: colour('--accent'),
          width: 2,
          points: { show: false },
          value: (_, value) => (value === null ? '–' : `${number(value, decimals)} ${history.unit ?? ''}`),
        },
      ],
    },
    [history.points.map((_, index) => (history.start + index * history.step) / 1000), [...history.points]],
    box,
  )
  const watcher = new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: HEIGHT }))
  watcher.observe(box)
  return () => {
    watcher.disconnect()
    chart.destroy()
  }
}

/** The hour of a tick, in s since 1970; at midnight the day that begins. */
function timeOf(tick: number): string {
  const at = new Date(tick * 1000)
  return at.getHours() === 0 && at.getMinutes() === 0 ? dayOfWeek(tick * 1000) : minuteOfDay(tick * 1000)
}

/** As many decimals as tell the ticks apart. */
function tickDecimals(ticks: readonly number[]): number {
  const step = Math.abs((ticks[1] ?? 1) - (ticks[0] ?? 0))
  return step >= 1 || step === 0 ? 0 : Math.min(4, Math.ceil(-Math.log10(step)))
}
