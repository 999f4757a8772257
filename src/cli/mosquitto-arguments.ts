/** Mosquitto's own command line, which is not quite like others: no `--name=value`, and no `-dv`. */

export interface MosquittoArguments {
  file: string | undefined
  ports: number[]
  daemon: boolean
  verbose: boolean
  quiet: boolean
  testConfig: boolean
  help: boolean
  keylog: string | undefined
  /** All of them but those that ask for the background. */
  inForeground: string[]
}

export const USAGE = [
  'Usage: larder mosquitto [-c config_file] [-d] [-h] [-p port] [-q] [-v] [--test-config]',
  '',
  ' -c, --config-file : the configuration, a mosquitto.conf. Without one only this machine is served, on port 1883.',
  ' -d, --daemon      : go into the background after starting.',
  ' -h, --help        : show this.',
  ' -p, --port        : serve this machine on this port; can be given up to 10 times. Ignored when the configuration',
  '                     has a listener.',
  ' -q, --quiet       : log nothing, whatever the configuration says.',
  ' -v, --verbose     : log everything, each packet too, whatever the configuration says.',
  ' --test-config     : check the configuration and do nothing else: exit status 0, or 3 when it has faults.',
  '',
  'larder --help shows the other commands.',
]

/** What there is, by all its names, and what stands behind it. */
export const FLAGS = [
  { names: ['-c', '--config-file'], value: 'file' },
  { names: ['-d', '--daemon'] },
  { names: ['-h', '--help'] },
  { names: ['-p', '--port'], value: 'port' },
  { names: ['-q', '--quiet'] },
  { names: ['-v', '--verbose'] },
  { names: ['--test-config'] },
  { names: ['--tls-keylog'], value: 'file' },
] as const

/** As in Mosquitto. */
const MAX_PORTS = 10

export class CommandLineFault extends Error {
  /** An option that there is not: the usage helps. */
  readonly isUnknown: boolean

  constructor(message: string, isUnknown = false) {
    super(message)
    this.isUnknown = isUnknown
  }
}

/** Throws a CommandLineFault. */
export function parseMosquittoArguments(args: readonly string[]): MosquittoArguments {
  const parsed: MosquittoArguments = {
    file: undefined,
    ports: [],
    daemon: false,
    verbose: false,
    quiet: false,
    testConfig: false,
    help: false,
    keylog: undefined,
    inForeground: [],
  }
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] as string
    const valueAfter = (what: string): string => {
      const value = args[++index]
      if (value === undefined) throw new CommandLineFault(`${argument} argument given, but no ${what} specified.`)
      return value
    }
    const start = index
    switch (argument) {
      case '-c':
      case '--config-file':
        parsed.file = valueAfter('config file')
        break
      case '-d':
      case '--daemon':
        parsed.daemon = true
        continue
      case '-p':
      case '--port':
        parsed.ports.push(portOf(valueAfter('port')))
        if (parsed.ports.length > MAX_PORTS) throw new CommandLineFault('Only 10 ports can be specified.')
        break
      case '-v':
      case '--verbose':
        parsed.verbose = true
        break
      case '-q':
      case '--quiet':
        parsed.quiet = true
        break
      case '--test-config':
        parsed.testConfig = true
        break
      case '-h':
      case '--help':
        parsed.help = true
        break
      case '--tls-keylog':
        parsed.keylog = valueAfter('file')
        break
      default:
        throw new CommandLineFault(`Unknown option '${argument}'.`, true)
    }
    parsed.inForeground.push(...args.slice(start, index + 1))
  }
  return parsed
}

function portOf(written: string): number {
  const port = /^\d+$/.test(written) ? Number(written) : Number.NaN
  if (port >= 1 && port <= 65_535) return port
  throw new CommandLineFault(`Invalid port specified (${written}).`)
}
