/** All commands by their names, in the order of the help. What they need comes from outside; to make the table costs nothing. */
import type { LoadOptions } from '../config/load.ts'
import { type BackupDependencies, backupCommand } from './backup/backup.ts'
import { restoreCommand } from './backup/restore.ts'
import {
  bridgesDeadCommand,
  bridgesListCommand,
  bridgesPauseCommand,
  bridgesResumeCommand,
  bridgesRetryCommand,
} from './bridges.ts'
import { checkCommand } from './check.ts'
import { completionCommand } from './completion/command.ts'
import { type DiscoverDevices, devicesListCommand } from './devices.ts'
import { doctorCommand, type Examine } from './doctor.ts'
import type { Explain } from './explaining.ts'
import { importCommand } from './import.ts'
import type { Command } from './larder.ts'
import { logCommand } from './log.ts'
import { type MosquittoDependencies, mosquittoCommand, runAsMosquitto, type Voice } from './mosquitto.ts'
import type { Machine } from './mqtt/client.ts'
import { type PasswdDependencies, passwdCommand } from './passwd.ts'
import { pubCommand } from './pub.ts'
import { reloadCommand } from './reload.ts'
import { rrCommand } from './rr.ts'
import { type RunGateway, startCommand } from './start.ts'
import { statusCommand } from './status.ts'
import type { StoreDependencies } from './store/access.ts'
import { storeCompactCommand } from './store/compact.ts'
import { storeDumpCommand } from './store/dump.ts'
import { storeExportCommand } from './store/export.ts'
import { storeImportCommand } from './store/import.ts'
import { storeStatsCommand } from './store/stats.ts'
import { storeVerifyCommand, type VerifyStore } from './store/verify.ts'
import { subCommand } from './sub.ts'
import { type Screen, topCommand } from './top/command.ts'
import { type UpdateDependencies, updateCommand } from './update.ts'
import type { WatchFiles } from './watching.ts'

export interface CommandDependencies<V extends Voice> extends Pick<LoadOptions, 'checks'> {
  readonly runGateway: RunGateway
  readonly watchFiles: WatchFiles
  readonly explain: Explain
  readonly asMosquitto: MosquittoDependencies<V>
  readonly loadClient: () => Promise<Machine>
  readonly discover: DiscoverDevices
  readonly pause: (milliseconds: number) => Promise<void>
  readonly verify: VerifyStore
  readonly examine: Examine
  readonly loadScreen: () => Promise<Screen>
  readonly store: Omit<StoreDependencies, 'checks'>
  readonly passwd: PasswdDependencies
  readonly wall: BackupDependencies['wall']
  readonly update: UpdateDependencies
}

export function commandsOf<V extends Voice>(deps: CommandDependencies<V>): Readonly<Record<string, Command>> {
  const { checks, runGateway, watchFiles, asMosquitto, loadClient: load } = deps
  const store = { checks, ...deps.store }
  const commands: Record<string, Command> = {
    start: startCommand({
      checks,
      runGateway,
      watchFiles,
      asMosquitto: runAsMosquitto(asMosquitto),
      explain: deps.explain,
      importStore: deps.store.import,
    }),
    mosquitto: mosquittoCommand(asMosquitto),
    import: importCommand({ checks }),
    check: checkCommand({ checks }),
    reload: reloadCommand({ checks }),
    status: statusCommand({ checks }),
    log: logCommand({ checks, pause: deps.pause }),
    top: topCommand({ checks, loadScreen: deps.loadScreen }),
    doctor: doctorCommand({ checks, examine: deps.examine }),
    pub: pubCommand({ load }),
    sub: subCommand({ load }),
    rr: rrCommand({ load }),
    'devices list': devicesListCommand({ discover: deps.discover }),
    'bridges list': bridgesListCommand({ checks }),
    'bridges dead': bridgesDeadCommand({ checks }),
    'bridges retry': bridgesRetryCommand({ checks }),
    'bridges pause': bridgesPauseCommand({ checks }),
    'bridges resume': bridgesResumeCommand({ checks }),
    'store stats': storeStatsCommand(store),
    'store dump': storeDumpCommand(store),
    'store verify': storeVerifyCommand({ checks, verify: deps.verify }),
    'store compact': storeCompactCommand(store),
    'store export': storeExportCommand(store),
    'store import': storeImportCommand(store),
    backup: backupCommand({ ...store, wall: deps.wall }),
    restore: restoreCommand(store),
    update: updateCommand(deps.update),
    passwd: passwdCommand(deps.passwd),
    completion: completionCommand(() => commands),
  }
  return commands
}
