/** The package's entry for programs that embed the gateway. */
import { faultLine } from './config/fault.ts'
import { loadConfig } from './config/load.ts'
import { cronFault } from './devices/cron.ts'
import { LarderError } from './kernel/errors.ts'
import { Gateway, type GatewayDependencies } from './main.ts'

export { scramEntry } from './access/credentials.ts'
export type { Conversation, EnhancedAuthentication, Step } from './access/ports.ts'
export type { DeadLetter } from './bridge/dead-letters.ts'
export type { NamedState as BridgeState } from './bridge/fleet.ts'
export type { Hooks } from './broker/aedes.ts'
export type {
  DevicePart,
  DeviceState,
  FieldShape,
  GpioDriver,
  GpioLine,
  GpioLineEvents,
  GpioLineSettings,
  Reading,
  Source,
  SourceEvents,
  Value,
  ValueDescription,
} from './devices/ports.ts'
export { LarderError } from './kernel/errors.ts'
export { type Log, silentLog } from './kernel/log.ts'
export type { AddedDevice, Gateway, GatewayDependencies, PublishOptions } from './main.ts'
export type { Properties } from './mqtt/properties.ts'

/**
 * A gateway with the given settings: the keys of `larder.yaml`, as plain data.
 * Throws LarderError CONFIG_INVALID that names every fault.
 */
export function createGateway(settings: Record<string, unknown> = {}, deps: GatewayDependencies = {}): Gateway {
  const loaded = loadConfig({
    file: 'settings',
    text: JSON.stringify(settings, null, 1),
    env: {},
    cwd: process.cwd(),
    checks: { cron: cronFault },
  })
  if ('faults' in loaded) throw new LarderError('CONFIG_INVALID', loaded.faults.map(faultLine).join('\n'))
  return new Gateway(loaded.config, deps)
}
