/// <reference lib="es2024.string" />
/**
 * Rules for topic names and topic filters (MQTT 3.1.1 §4.7). A fault is a sentence fragment for logs
 * and errors, 'a topic name must not be empty'; undefined means that the name is fine. Both checks run
 * once over the characters and allocate nothing: every PUBLISH passes here.
 */

/** Bytes of UTF-8 in a topic name or filter: its length is sent in two bytes [MQTT-4.7.3-3]. */
export const MAX_TOPIC_BYTES = 65_535

/** A UTF-16 unit never takes more than three bytes of UTF-8, so shorter strings need no counting. */
const SURELY_SHORT = MAX_TOPIC_BYTES / 3

const NUL = 0
const HASH = 35
const DOLLAR = 36
const PLUS = 43
const SLASH = 47

/** What forbids `topic` as a topic name of at most `maxLevels` levels, or undefined. */
export function topicNameFault(topic: string, maxLevels: number): string | undefined {
  // [MQTT-4.7.3-1]
  if (topic.length === 0) return 'a topic name must not be empty'
  let levels = 1
  for (let i = 0; i < topic.length; i++) {
    const unit = topic.charCodeAt(i)
    if (unit > SLASH) continue
    if (unit === SLASH) levels++
    // [MQTT-3.3.2-2] [MQTT-4.7.1-1]
    else if (unit === HASH || unit === PLUS) return 'a topic name must not contain wildcards'
    // [MQTT-4.7.3-2]
    else if (unit === NUL) return 'a topic name must not contain U+0000'
  }
  if (levels > maxLevels) return `a topic name must not have more than ${maxLevels} levels`
  return textFault(topic, 'a topic name')
}

/** What forbids `filter` as a topic filter of at most `maxLevels` levels, or undefined. */
export function topicFilterFault(filter: string, maxLevels: number): string | undefined {
  // [MQTT-4.7.3-1]
  if (filter.length === 0) return 'a topic filter must not be empty'
  let levels = 1
  const last = filter.length - 1
  for (let i = 0; i <= last; i++) {
    const unit = filter.charCodeAt(i)
    if (unit > SLASH) continue
    if (unit === SLASH) levels++
    else if (unit === HASH) {
      // [MQTT-4.7.1-2]
      if (i !== last || (i > 0 && filter.charCodeAt(i - 1) !== SLASH)) {
        return "'#' in a topic filter must be its whole last level"
      }
    } else if (unit === PLUS) {
      // [MQTT-4.7.1-3]
      if ((i > 0 && filter.charCodeAt(i - 1) !== SLASH) || (i < last && filter.charCodeAt(i + 1) !== SLASH)) {
        return "'+' in a topic filter must be a whole level"
      }
    }
    // [MQTT-4.7.3-2]
    else if (unit === NUL) return 'a topic filter must not contain U+0000'
  }
  if (levels > maxLevels) return `a topic filter must not have more than ${maxLevels} levels`
  return textFault(filter, 'a topic filter')
}

/** The beginning of the filter of a shared subscription, behind which come the share name and a topic filter. */
const SHARE = '$share/'

/**
 * Share name and topic filter of a shared subscription (MQTT 5 §4.8.2), undefined when `filter` is none. That
 * both are as they must be is said by `subscriptionFault`.
 */
export function splitShare(filter: string): { group: string; filter: string } | undefined {
  if (!filter.startsWith(SHARE)) return undefined
  const end = levelEnd(filter, SHARE.length)
  return { group: filter.slice(SHARE.length, end), filter: filter.slice(end + 1) }
}

/** As `topicFilterFault`, also for shared subscriptions; `maxLevels` is for the topic filter in it. */
export function subscriptionFault(filter: string, maxLevels: number): string | undefined {
  const share = splitShare(filter)
  if (share === undefined) return topicFilterFault(filter, maxLevels)
  // [MQTT-4.8.2-1]
  if (share.group.length === 0) return 'a share name must not be empty'
  // [MQTT-4.8.2-2]
  if (share.group.includes('+') || share.group.includes('#')) return 'a share name must not contain wildcards'
  // The whole is a string too, two levels longer.
  return topicFilterFault(share.filter, maxLevels) ?? topicFilterFault(filter, maxLevels + 2)
}

/** True when `topic` begins with `$`: no filter that begins with a wildcard matches it [MQTT-4.7.2-1]. */
export function isDollarTopic(topic: string): boolean {
  return topic.charCodeAt(0) === DOLLAR
}

/** True when `filter` begins with a wildcard. */
export function beginsWithWildcard(filter: string): boolean {
  const first = filter.charCodeAt(0)
  return first === HASH || first === PLUS
}

/** False of a topic filter that matches the one topic that is written like it. */
export function hasWildcards(filter: string): boolean {
  return filter.includes('#') || filter.includes('+')
}

/** True when a topic filter matches a topic name, both without fault. Compares them as they are [MQTT-4.7.3-4]. */
export function filterMatches(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1]
  if (isDollarTopic(topic) && beginsWithWildcard(filter)) return false
  let f = 0
  let t = 0
  for (;;) {
    const unit = filter.charCodeAt(f)
    if (unit === HASH) return true
    if (unit === PLUS) {
      f++
      t = levelEnd(topic, t)
    } else {
      while (!isLevelEnd(filter, f) && filter.charCodeAt(f) === topic.charCodeAt(t)) {
        f++
        t++
      }
      if (!isLevelEnd(filter, f) || !isLevelEnd(topic, t)) return false
    }
    if (f === filter.length) return t === topic.length
    // 'sport/#' matches 'sport' too: '#' stands for any number of levels, also for none.
    if (t === topic.length) return f + 2 === filter.length && filter.charCodeAt(f + 1) === HASH
    f++
    t++
  }
}

function isLevelEnd(text: string, at: number): boolean {
  return at === text.length || text.charCodeAt(at) === SLASH
}

/** Where the level that begins at `start` ends. */
export function levelEnd(text: string, start: number): number {
  const slash = text.indexOf('/', start)
  return slash < 0 ? text.length : slash
}

function textFault(text: string, what: string): string | undefined {
  // [MQTT-1.5.3-1]
  if (!text.isWellFormed()) return `${what} must not contain lone surrogates`
  // [MQTT-4.7.3-3]
  if (text.length > SURELY_SHORT && Buffer.byteLength(text) > MAX_TOPIC_BYTES) {
    return `${what} must not be longer than ${MAX_TOPIC_BYTES} bytes`
  }
  return undefined
}
