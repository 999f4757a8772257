/**
 * The likely spelling of a word that is not known: the nearest known word, if it is near enough that a
 * slip of the fingers explains the difference. Upper and lower case, `-`, `_` and spaces do not count.
 */

/** Edits that one slip or two make, by the length of the word: in a short word two edits make another word. */
function tolerance(length: number): number {
  if (length <= 3) return 1
  return length <= 9 ? 2 : 3
}

/** Longer words are not compared: nothing of ours is that long, and the cost grows with the square. */
const MAX_WORD = 64

/** The one of `known` that `word` was likely meant to be, or undefined. */
export function likelySpelling(word: string, known: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD) return undefined
  const wanted = plain(word)
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    if (candidate.length > MAX_WORD) continue
    const distance = editDistance(wanted, plain(candidate))
    const allowed = tolerance(Math.min(word.length, candidate.length))
    if (distance <= allowed && distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, '')
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, no part touched
 * twice (optimal string alignment).
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min(replaced, last[j]! + 1, row[j - 1]! + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, beforeLast[j - 2]! + 1)
      }
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
