/** Hooks answer by calling back, mostly before they return; then nobody should have to wait. */

/** What `ask` is answered: a promise of it only when that comes later, for a promise costs more than most hooks do. */
export function answerOf<T>(ask: (answer: (value: T) => void) => void): T | Promise<T> {
  let known: { value: T } | undefined
  let tell = (value: T): void => {
    known ??= { value }
  }
  ask(value => tell(value))
  if (known !== undefined) return (known as { value: T }).value
  return new Promise(resolve => {
    tell = resolve
  })
}
