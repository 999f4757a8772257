/** Numbers as a person reads them. */

export function count(number: number): string {
  return number.toLocaleString('en')
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function bytes(number: number): string {
  let size = number
  let unit = 0
  for (; size >= 1024 && unit < SIZES.length - 1; unit++) size /= 1024
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${SIZES[unit]}`
}

/** Of milliseconds: `3 d 4 h`, `5 min`, `2.5 s`; two units are enough. */
export function span(milliseconds: number): string {
  const seconds = milliseconds / 1000
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}
