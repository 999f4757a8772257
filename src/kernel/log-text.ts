/** A line of the log as a person reads it. Nothing in it begins a line of its own or gives orders to a terminal. */

import { reasonOf } from './errors.ts'

/** `message key=value …`. */
export function lineText(fields: object, message: string): string {
  const rest = Object.entries(fields).map(([key, value]) => {
    // As in JSON, what is not there is not told.
    if (value === undefined) return ''
    const shown = value instanceof Error ? reasonOf(value) : value
    return ` ${key}=${typeof shown === 'string' ? shown : JSON.stringify(shown)}`
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return `${message}${rest.join('')}`.replace(/\s*\n\s*/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}
