/** Bodies of actions, checked by hand: a handful of flat objects needs no schema. Each fault names its key. */
import { HttpRefusal } from './http.ts'

type Body = Readonly<Record<string, unknown>>

export function bodyOf(input: unknown): Body {
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input as Body
  throw new HttpRefusal(400, 'the body must be an object')
}

export function textOf(body: Body, key: string, max = 65_535): string {
  const value = body[key]
  if (typeof value !== 'string') throw new HttpRefusal(400, `${key} must be text`)
  if (value.length > max) throw new HttpRefusal(400, `${key} may have ${max} characters`)
  return value
}

export function flagOf(body: Body, key: string): boolean {
  const value = body[key]
  if (typeof value !== 'boolean') throw new HttpRefusal(400, `${key} must be true or false`)
  return value
}

export function qosOf(body: Body): 0 | 1 | 2 {
  const { qos } = body
  if (qos === 0 || qos === 1 || qos === 2) return qos
  throw new HttpRefusal(400, 'qos must be 0, 1 or 2')
}

export function textsOf(body: Body, key: string, max: number): string[] {
  const value = body[key]
  if (!Array.isArray(value) || !value.every(each => typeof each === 'string')) {
    throw new HttpRefusal(400, `${key} must be a list of texts`)
  }
  if (value.length > max) throw new HttpRefusal(400, `${key} may have ${max} entries`)
  return value
}
