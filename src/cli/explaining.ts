/**
 * `larder start --explain`: a configuration with faults does not end the program. Its web page says what is wrong and
 * where, and the gateway starts when that has been mended. For a machine that nobody sits at: there, a program that has
 * ended tells nobody anything.
 */
import type { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError } from '../kernel/errors.ts'
import type { Io, StopSignal } from './larder.ts'
import { type Program, type ShownFault, shownFault } from './program.ts'
import { ConfigurationWatch, type WatchFiles } from './watching.ts'

/** A page that says what is wrong. */
export interface ExplainingPage {
  readonly address: string | undefined
  tell(faults: readonly ShownFault[]): void
  close(): Promise<void>
}

/** Opens it. Rejects with a LarderError when it cannot be. */
export type Explain = (program: Program, faults: readonly ShownFault[], signal: AbortSignal) => Promise<ExplainingPage>

const STOP_SIGNALS: readonly StopSignal[] = ['SIGTERM', 'SIGINT']

/**
 * Resolves to `mended` when the files have no fault that is known of any more, to `stopped` at a signal, and to `silent`
 * when there is no page to explain on. `files` are what the fault may be in; `look` says what is wrong now.
 */
export async function explainUntilMended(options: {
  program: Program
  io: Io
  explain: Explain
  watch: WatchFiles
  files: readonly string[]
  faults: readonly ShownFault[]
  look: () => readonly ShownFault[]
}): Promise<'mended' | 'stopped' | 'silent'> {
  const { program, io, explain, watch, files, faults, look } = options
  const stop = new AbortController()
  const onStop = () => stop.abort()
  let page: ExplainingPage
  try {
    page = await explain(program, faults, stop.signal)
  } catch (error) {
    io.stderr(`larder: ${error instanceof LarderError ? error.toLine() : String(error)}`)
    return 'silent'
  }
  if (page.address === undefined) {
    await page.close()
    return 'silent'
  }
  io.stdout(`larder: explaining on ${page.address}`)
  let mend = () => {}
  const mended = new Promise<'mended'>(resolve => {
    mend = () => resolve('mended')
  })
  const stopped = new Promise<'stopped'>(resolve => {
    if (stop.signal.aborted) resolve('stopped')
    stop.signal.addEventListener('abort', () => resolve('stopped'), { once: true })
  })
  const see = async () => {
    const now = look()
    page.tell(now)
    if (now.length === 0) mend()
  }
  const onHangup = () => void see()
  for (const signal of STOP_SIGNALS) io.signals.on(signal, onStop)
  io.signals.on('SIGHUP', onHangup)
  const watching = new ConfigurationWatch({ files: () => files, watch, reload: see })
  await watching.start()
  try {
    return await Promise.race([mended, stopped])
  } finally {
    for (const signal of STOP_SIGNALS) io.signals.off(signal, onStop)
    io.signals.off('SIGHUP', onHangup)
    await watching[Symbol.asyncDispose]()
    await page.close()
  }
}

/** Codes of faults that the owner mends in a file. */
const MENDABLE: readonly string[] = ['CONFIG_INVALID', 'CONFIG_UNREADABLE', 'CERTIFICATE_INVALID']

export function isMendable(error: unknown): error is LarderError {
  return error instanceof LarderError && MENDABLE.includes(error.code)
}

/**
 * Explains what is wrong until it is mended, which is true; false at a signal; undefined when there is nowhere to explain it.
 * With `others`, files that the configuration names, a change of one of them is worth another try.
 */
export function explainer(deps: {
  io: Io
  read: () => ReturnType<typeof loadConfig>
  explain?: Explain
  watchFiles?: WatchFiles
}) {
  const { io, read, explain, watchFiles: watch } = deps
  return async (program: Program, faults: readonly ShownFault[], others: readonly string[]) => {
    const { file } = program
    if (explain === undefined || watch === undefined || file === undefined) return undefined
    const look = () => {
      const result = read()
      return 'faults' in result ? result.faults.map(shownFault) : []
    }
    const outcome = await explainUntilMended({ program, io, explain, watch, files: [file, ...others], faults, look })
    return outcome === 'silent' ? undefined : outcome === 'mended'
  }
}

/** The files that a configuration names and that a fault may be in. */
export function filesOf(config: Config): string[] {
  return [...accessFiles(config), ...tlsFiles(config)]
}

export function accessFiles({ listeners }: Config): string[] {
  const files = listeners.flatMap(({ access }) => [access.passwordFile, access.aclFile])
  return [...new Set(files.filter(file => file !== undefined))]
}

function tlsFiles({ listeners, dashboard }: Config): string[] {
  const tls = [...listeners.map(listener => listener.tls), dashboard.tls].filter(each => each !== undefined)
  const files = tls.flatMap(each => [each.cert, each.key, 'ca' in each ? each.ca : undefined])
  return [...new Set(files.filter(file => file !== undefined))]
}
