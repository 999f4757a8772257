/**
 * Templates such as `T{payload}` or `{level -1}={value.state.brightness}`: text with blanks in braces. Braces around anything
 * that does not begin like a word are text, so that `{"on":"{payload}"}` is written as it looks. They have
 * no `$`, which is the environment's.
 */
import * as v from 'valibot'
import { likelySpelling } from '../spelling.ts'
import { Refusal, type Schema, text } from '../values.ts'

/** A piece of a template: text as it is, or what to put there. */
export type TemplatePart = string | { payload: true } | { topic: true } | { level: number } | { value: string[] }

/** Bytes of a template: what is around a value on its way to a device, not a document. */
const MAX_TEMPLATE = 1024
const BLANK = /\{([A-Za-z][^{}"]*)\}/
const LEVEL = /^level (-?[1-9]\d{0,2})$/
const NAMES = ['payload', 'topic', 'level', 'value']
const KNOWN = '{payload}, {topic}, {level 1} and {value.name}'

/** A template, taken apart. */
export function template(example: string): Schema<TemplatePart[]> {
  const fault = (template: string) => partsOf(template).find(part => part instanceof Refusal)?.message
  return v.pipe(
    text({ example, max: MAX_TEMPLATE, fault }),
    v.transform(template => partsOf(template) as TemplatePart[]),
    v.metadata({ example }),
  )
}

function partsOf(template: string): (TemplatePart | Refusal)[] {
  // With a group in it, `split` gives text and the insides of blanks by turns.
  const pieces = template.split(BLANK).map((piece, index) => (index % 2 === 0 ? piece : blank(piece)))
  return pieces.filter(piece => piece !== '')
}

function blank(inside: string): TemplatePart | Refusal {
  if (inside === 'payload') return { payload: true }
  if (inside === 'topic') return { topic: true }
  const level = LEVEL.exec(inside)?.[1]
  if (level !== undefined) return { level: Number(level) }
  const [word = '', ...path] = inside.split('.')
  if (word === 'value' && path.length > 0 && !path.includes('')) return { value: path }
  const likely = likelySpelling(inside.split(/[ .]/, 1)[0] ?? '', NAMES)
  const hint = likely === undefined || inside.startsWith(likely) ? '' : `; did you mean '${likely}'?`
  return new Refusal(`{${inside}} is not known: there is ${KNOWN}${hint}`)
}
