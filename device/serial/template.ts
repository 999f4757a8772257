/**
 * From a message to what is written to a port. The template was taken apart when the configuration was read
 * (`config/template.ts`); here its blanks are filled in. A value with a line end in it would become a second command to the
 * device, so control characters are not let through.
 */

/** A piece of a template: text as it is, or what to put there. */
export type TemplatePart =
  | string
  /** The payload as text. */
  | { readonly payload: true }
  | { readonly topic: true }
  /** A level of the topic: 1 is the first, -1 the last. */
  | { readonly level: number }
  /** What this path leads to in a payload that is JSON. */
  | { readonly value: readonly string[] }

export type Template = readonly TemplatePart[]

/** The bytes for a message. Throws an `Error` that says what is missing or not let through. */
export function render(template: Template, message: { topic: string; payload: string }): Buffer {
  let json: unknown
  const parts = template.map(part => {
    if (typeof part === 'string') return part
    if ('payload' in part) return safe(message.payload, 'the payload')
    if ('topic' in part) return safe(message.topic, 'the topic')
    if ('level' in part) return safe(levelOf(message.topic, part.level), `level ${part.level} of the topic`)
    json ??= parse(message.payload)
    return safe(valueAt(json, part.value), `value.${part.value.join('.')}`)
  })
  return Buffer.from(parts.join(''))
}

function levelOf(topic: string, level: number): string {
  const found = topic.split('/').at(level > 0 ? level - 1 : level)
  if (found === undefined) throw new Error(`${topic} has no level ${level}`)
  return found
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload)
  } catch {
    throw new Error('the payload is not JSON')
  }
}

function valueAt(json: unknown, path: readonly string[]): string {
  let value = json
  for (const key of path) {
    const has = typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    if (!has) throw new Error(`the payload has no ${path.join('.')}`)
    value = (value as Record<string, unknown>)[key]
  }
  if (typeof value === 'object') throw new Error(`${path.join('.')} is not one value`)
  return String(value)
}

function safe(text: string, what: string): string {
  if (/\p{Cc}/u.test(text))
    throw new Error(`${what} has a line end or another control character in it, which is not written`)
  return text
}
