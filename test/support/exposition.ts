/** Reads Prometheus' text format, version 0.0.4, and refuses whatever is not in it: for tests of what we write. */

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const COMMENT = new RegExp(`^# (?:HELP ${NAME} .*|TYPE ${NAME} (?:counter|gauge|histogram|summary|untyped))$`)
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"'
const SAMPLE = new RegExp(`^(${NAME}(?:\\{${LABEL}(?:,${LABEL})*\\})?) (\\S+)$`)
const INFINITIES: Readonly<Record<string, number>> = {
  '+Inf': Number.POSITIVE_INFINITY,
  '-Inf': Number.NEGATIVE_INFINITY,
}

/** The samples of a text, by name and labels as they are written. */
export function samplesOf(text: string): Map<string, number> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || COMMENT.test(line)) continue
    const [, name, written = ''] = SAMPLE.exec(line) ?? []
    const value = INFINITIES[written] ?? Number(written)
    if (name === undefined || Number.isNaN(value)) throw new Error(`not a sample: ${line}`)
    if (samples.has(name)) throw new Error(`a sample stands there twice: ${name}`)
    samples.set(name, value)
  }
  return samples
}
