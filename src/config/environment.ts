/**
 * `${NAME}` and `${NAME:-default}` in a value are replaced from the environment, so that a fleet can be
 * configured without editing a file; `$${` stands for a literal `${`. As in a shell, `:-` also covers a
 * variable that is empty. The result is never looked at again: a variable cannot bring in another.
 */

import { shorten } from './fault.ts'

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g
const INSIDE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

export type Substitution = { text: string } | { fault: string }

/** True when `substitute` would look at `text` at all. */
export function hasReference(text: string): boolean {
  return text.includes('${')
}

/** `text` with its references replaced, or what is wrong with the first that cannot be. */
export function substitute(text: string, env: NodeJS.ProcessEnv): Substitution {
  let fault: string | undefined
  const replaced = text.replace(REFERENCE, (whole, inside: string | undefined, end: string | undefined) => {
    if (whole === '$${') return '${'
    const match = INSIDE.exec(inside ?? '')
    if (match === null || end === '') {
      fault ??= `'${shorten(whole)}' cannot be read: write \${NAME} or \${NAME:-default}, and $\${ for the two characters themselves`
      return ''
    }
    const [, name, fallback] = match
    const value = env[name!]
    if (fallback !== undefined) return value || fallback
    if (value === undefined) {
      fault ??= `the environment variable ${name} is not set: set it, or write \${${name}:-default}`
    }
    return value ?? ''
  })
  return fault === undefined ? { text: replaced } : { fault }
}
