/** The last day of a number as a line, without axes: its course, not its values. */

const WIDTH = 96
const HEIGHT = 24
/** Room for the line's own width. */
const EDGE = 2

/** The line as an SVG path; gaps where there was no value. */
export function sparkPath(points: readonly (number | null)[]): string {
  const known = points.filter(point => point !== null)
  if (known.length < 2) return ''
  const low = Math.min(...known)
  const span = Math.max(...known) - low
  const step = (WIDTH - 2 * EDGE) / (points.length - 1)
  let path = ''
  let pen = 'M'
  points.forEach((point, index) => {
    if (point === null) {
      pen = 'M'
      return
    }
    const y = span === 0 ? HEIGHT / 2 : EDGE + (1 - (point - low) / span) * (HEIGHT - 2 * EDGE)
    path += `${pen}${(EDGE + index * step).toFixed(1)} ${y.toFixed(1)}`
    pen = 'L'
  })
  return path
}

export function Spark(props: { points: readonly (number | null)[] | undefined }) {
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {props.points && <path d={sparkPath(props.points)} />}
    </svg>
  )
}
