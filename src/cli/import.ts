/** `larder import`: prints a mosquitto.conf as the larder.yaml that does the same, each line with where it comes from. */
import type { Checks } from '../config/schedules.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from './larder.ts'

const VOLATILE = [
  'It has persistence false, so Mosquitto kept nothing over a restart. Larder keeps everything, in data_dir.',
]

export function importCommand({ checks }: { checks: Checks }): Command {
  return {
    summary: 'print a mosquitto.conf as larder.yaml',
    examples: [['larder import /etc/mosquitto/mosquitto.conf > larder.yaml', 'each line says where it comes from']],
    flags: {},
    operands: 'FILE',
    async run(_, io, [file, ...others]) {
      if (file === undefined || others.length > 0) {
        io.stderr('larder: import needs one file, such as larder import /etc/mosquitto/mosquitto.conf > larder.yaml')
        return EXIT_USAGE
      }
      const [{ loadMosquittoConf, localMachine, noticeLine }, { printYaml }] = await Promise.all([
        import('../config/mosquitto/load.ts'),
        import('../config/mosquitto/yaml.ts'),
      ])
      const ports = { numbers: [], beside: 'ignored' } as const
      const loaded = loadMosquittoConf({ file, cwd: io.cwd, checks, machine: localMachine(), ports })
      if ('faults' in loaded) {
        for (const { place, message } of loaded.faults) {
          io.stderr(`${place === undefined ? file : `${place.file}:${place.line}`}: ${message}`)
        }
        return EXIT_FAILED
      }
      const { root, habits, notices } = loaded
      const what = [`Made from ${file} by larder import. What is not written here is Larder's default.`]
      const text = printYaml(root, {
        what: habits.isVolatile ? [...what, ...VOLATILE] : what,
        notices: [...notices.map(noticeLine), ...habitLines(habits)],
      })
      for (const line of text.trimEnd().split('\n')) io.stdout(line)
      return EXIT_DONE
    },
  }
}

/** What is no part of larder.yaml, because the system has it. */
function habitLines({ log, pidFile, user }: import('../config/mosquitto/load.ts').Habits): string[] {
  return [
    ...(log.file === undefined ? [] : [`log_dest file: the log goes to stderr, which systemd keeps in its journal`]),
    ...(pidFile === undefined ? [] : [`pid_file: systemd knows the process; only larder mosquitto writes one`]),
    ...(user === undefined ? [] : [`user ${user}: the systemd unit says as whom it runs`]),
  ]
}
