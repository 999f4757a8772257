/** Texts that become topics or parts of them (MQTT 3.1.1 §4.7). */
import { topicFilterFault, topicNameFault } from '../mqtt/topics.ts'
import { either, type Schema, text } from './values.ts'

/** Levels of a topic that the configuration itself names: as many as `max_topic_levels` allows by default. */
const MAX_LEVELS = 200

/** One level of a topic. */
export function level(example: string): Schema<string> {
  return text({ example, fault: levelFault })
}

export function levelFault(level: string): string | undefined {
  return level.includes('/') ? "must not contain '/', which separates the levels of a topic" : partFault(level)
}

/** One or more levels of a topic, none of them empty. */
export function levels(example: string): Schema<string> {
  return text({
    example,
    fault: text => (text.split('/').includes('') ? "must not begin or end with '/' or contain '//'" : partFault(text)),
  })
}

/** The start of a topic or filter, such as `cellar/`. */
export function prefix(example: string): Schema<string> {
  return text({ example, mayBeEmpty: true, fault: text => (text === '' ? undefined : partFault(text)) })
}

export function topicName(example: string): Schema<string> {
  return text({ example, fault: text => fragment(topicNameFault(text, MAX_LEVELS)) })
}

/** What a template may speak of. */
const PLACEHOLDERS = ['gateway', 'room', 'name'] as const

/** A topic name with `{gateway}`, `{room}` and `{name}` in it, and where `belowTopic`, `{topic}`. */
export function topicTemplate(example: string, belowTopic = false): Schema<string> {
  const known: readonly string[] = belowTopic ? [...PLACEHOLDERS, 'topic'] : PLACEHOLDERS
  return text({
    example,
    fault: template => {
      const stranger = [...template.matchAll(/\{(.*?)\}/g)].find(([, name]) => !known.includes(name!))
      if (stranger !== undefined) return `${stranger[0]} is not known; use ${either(known.map(name => `{${name}}`))}`
      return fragment(topicNameFault(template, MAX_LEVELS))
    },
  })
}

/** The topic that a template stands for. */
export function fillTemplate(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(.*?)\}/g, (written, name: string) => values[name] ?? written)
}

export function topicFilter(example: string): Schema<string> {
  return text({ example, fault: text => fragment(topicFilterFault(text, MAX_LEVELS)) })
}

/** What forbids a topic filter that is put together from several keys. */
export function filterFault(filter: string): string | undefined {
  return topicFilterFault(filter, MAX_LEVELS)
}

function partFault(part: string): string | undefined {
  if (/[+#]/.test(part)) return "must not contain '+' or '#', which are wildcards"
  return fragment(topicNameFault(part, MAX_LEVELS))
}

/** `a topic name must not …` reads as `must not …` behind the key that it speaks of. */
function fragment(fault: string | undefined): string | undefined {
  return fault?.replace(/^a topic (name|filter) must/, 'must')
}
