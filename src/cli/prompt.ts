/**
 * Asks for passwords: on a terminal with a prompt and without an echo, from a pipe one a line. The line editor is
 * Node's own (backspace, Ctrl-U, pasting), whose echo goes nowhere.
 */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'

/**
 * The answers, in order; undefined when the input ended or was broken off before the last. On a terminal `prompt`
 * writes each prompt, without a line break, and the break after each answer.
 */
export async function askSecretly(
  prompts: readonly string[],
  {
    input,
    prompt,
  }: { input: NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY'>>; prompt: (text: string) => void },
): Promise<string[] | undefined> {
  const isTerminal = input.isTTY === true
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: isTerminal, historySize: 0 })
  const answers: string[] = []
  // The prompt comes when the echo is off: what is typed at it is never seen.
  const ask = () => isTerminal && prompt(prompts[answers.length] ?? '')
  return new Promise(resolve => {
    lines.on('line', line => {
      if (answers.length === prompts.length) return
      answers.push(line)
      if (isTerminal) prompt('\n')
      if (answers.length === prompts.length) lines.close()
      else ask()
    })
    lines.on('close', () => resolve(answers.length === prompts.length ? answers : undefined))
    ask()
  })
}
