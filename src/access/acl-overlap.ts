/**
 * What two topic filters have in common. The topics that both match are again those of one filter, so whether a
 * subscription can bring anything comes down to a few example topics of such filters (`Acl.maySubscribe`).
 */
/** A level that no rule and no name of a client can hold: U+0000 is forbidden in all of them [MQTT-1.5.4-2]. */
const UNHEARD_OF = '\0'

/** The filter that matches what both filters match; undefined when there is nothing. All without fault, and as levels. */
export function intersection(a: readonly string[], b: readonly string[]): readonly string[] | undefined {
  // [MQTT-4.7.2-1]
  if ((isDollar(a) && isWild(b)) || (isDollar(b) && isWild(a))) return undefined
  const common: string[] = []
  for (let i = 0; ; i++) {
    const [x, y] = [a[i], b[i]]
    // '#' matches whatever the other goes on with, and also its end.
    if (x === '#') return [...common, ...b.slice(i)]
    if (y === '#') return [...common, ...a.slice(i)]
    if (x === undefined || y === undefined) return x === y ? common : undefined
    if (x !== y && x !== '+' && y !== '+') return undefined
    common.push(x === '+' ? y : x)
  }
}

/**
 * Topics of `filter` that only rules with wildcards match where the filter has them: for '#', with no level and with
 * up to `depth` of them. If rules of at most `depth` levels match all of these, they match every topic of the filter.
 */
export function* examplesOf(filter: readonly string[], depth: number): Generator<string> {
  const levels = filter.map(level => (level === '+' ? UNHEARD_OF : level))
  if (levels.at(-1) !== '#') {
    yield levels.join('/')
    return
  }
  levels.pop()
  for (let more = 0; more <= depth; more++) {
    if (levels.length > 0) yield levels.join('/')
    levels.push(UNHEARD_OF)
  }
}

function isDollar(levels: readonly string[]): boolean {
  return levels[0]?.startsWith('$') === true
}

function isWild(levels: readonly string[]): boolean {
  return levels[0] === '+' || levels[0] === '#'
}
