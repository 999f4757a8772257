/** What the commands of `scripts/bench` have in common: reading whole numbers, and laying out tables. */

/** The flags as whole numbers above 0; says which is none and ends with status 2. */
export function wholeNumbers<Flag extends string>(flags: Record<Flag, string>): Record<Flag, number> {
  const numbers: Partial<Record<Flag, number>> = {}
  for (const [flag, text] of Object.entries(flags) as [Flag, string][]) {
    const number = Number(text)
    if (!Number.isInteger(number) || number <= 0) {
      console.error(`bench: --${flag} is a whole number above 0, not ${text}`)
      process.exit(2)
    }
    numbers[flag] = number
  }
  return numbers as Record<Flag, number>
}

/** A line of a table: the first cell to the left, the others to the right. */
export function row(widths: readonly number[], cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('')
}

export function count(number: number): string {
  return Math.round(number).toLocaleString('en')
}

/** Three digits, or what is left of them. */
export function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** The middle one; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[sorted.length >> 1] ?? Number.NaN
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN
  return (upper + lower) / 2
}
