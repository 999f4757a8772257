/** A map of larder.yaml as text, with a comment behind each key that says which line of mosquitto.conf it comes from. */
import type { Scalar, Section, Value } from './section.ts'

/** Words that need no quotes: YAML and our own loader take them as they are. */
const PLAIN = /^[A-Za-z/][A-Za-z0-9_/.-]*$/
/** Of them, those that YAML takes for something else than text. */
const MEANINGFUL = /^(true|false|null|yes|no|on|off|y|n)$/i

/** `what` is said at the top, `notices` at the end, each a comment. */
export function printYaml(root: Section, options: { what: readonly string[]; notices: readonly string[] }): string {
  const { what, notices } = options
  const sections = [...root].map(([key, { value }]) => `${lines(key, value, root, '').join('\n')}\n`)
  const rest =
    notices.length === 0
      ? []
      : [['# Not taken over, or not as it was:', ...notices.map(each => `#   ${each}`), ''].join('\n')]
  return [`${what.map(each => `# ${each}`).join('\n')}\n`, ...sections, ...rest].join('\n')
}

function lines(key: string, value: Value, owner: Section, indent: string): string[] {
  const place = owner.placeAt(key)
  const origin = place === undefined ? '' : `  # ${oneLine(`${place.file}:${place.line}`)}`
  if (isSection(value)) return [`${indent}${key}:`, ...entries(value, `${indent}  `)]
  if (!Array.isArray(value)) return [`${indent}${key}: ${scalar(value as Scalar)}${origin}`]
  if (value.length === 0) return [`${indent}${key}: []${origin}`]
  if (!isSection(value[0])) {
    return [`${indent}${key}: [${(value as readonly Scalar[]).map(scalar).join(', ')}]${origin}`]
  }
  const items = (value as readonly Section[]).flatMap(item => {
    const [first = '', ...others] = entries(item, `${indent}    `)
    return [`${indent}  - ${first.trimStart()}`, ...others]
  })
  return [`${indent}${key}:`, ...items]
}

function entries(section: Section, indent: string): string[] {
  return [...section].flatMap(([key, { value }]) => lines(key, value, section, indent))
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `$` before `{` is doubled: our loader would look for a variable. */
function scalar(value: Scalar): string {
  if (typeof value !== 'string') return `${value}`
  if (PLAIN.test(value) && !MEANINGFUL.test(value)) return value
  const escaped = JSON.stringify(value.replaceAll('${', () => '$${'))
  // Characters that JSON leaves and YAML does not.
  return escaped.replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    each => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function oneLine(text: string): string {
  return text.replace(/\s/g, ' ')
}
