import { run } from '../../support/process.ts'

/** Deadline in ms of a tool that copies some hundred megabytes. */
const TOOL_TIMEOUT = 60_000

/** Runs a tool in `folder` and gives the lines it printed. Rejects, with what it said, when it fails. */
export async function succeed(tool: string, args: string[], folder: string, timeout = TOOL_TIMEOUT): Promise<string[]> {
  const { code, lines, errors } = await run(tool, args, { cwd: folder, timeout })
  if (code !== 0) throw new Error(`${tool} ${args.join(' ')} ended with ${code}\n${[...lines, ...errors].join('\n')}`)
  return lines
}
