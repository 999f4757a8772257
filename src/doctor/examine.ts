/**
 * Looks the gateway and its machine over: eight checks, each of which says what is so, and what to do where that is not well.
 * Nothing is changed but a file in the data folder that is written and removed again. All checks go at once, each with a
 * time of its own; what they find comes in the order of `CHECKS`.
 */
import { reasonOf } from '../kernel/errors.ts'
import { checkClock } from './clock.ts'
import { checkCloud } from './cloud.ts'
import { checkDisk } from './disk.ts'
import { checkGpio } from './gpio.ts'
import { checkListeners } from './listeners.ts'
import { CHECKS, type CheckName, type DoctorDependencies, type Finding, type Subject, type Told } from './ports.ts'
import { checkPower } from './power.ts'
import { checkSerial } from './serial.ts'

/** Milliseconds for a check. A store of hundreds of MiB takes a Pi that long to read. */
const PATIENCE: Readonly<Record<CheckName, number>> = {
  config: 5_000,
  listeners: 20_000,
  power: 5_000,
  disk: 60_000,
  clock: 5_000,
  serial: 10_000,
  gpio: 10_000,
  cloud: 30_000,
}

/** `signal` aborts when its time is over. */
export type Check = (subject: Subject, deps: DoctorDependencies, signal: AbortSignal) => Promise<readonly Told[]>

const WORK: Readonly<Record<CheckName, Check>> = {
  config: async ({ faults, file }) =>
    faults.length === 0
      ? [{ grade: 'ok', cause: `${file} is valid` }]
      : faults.map(cause => ({
          grade: 'fail',
          cause,
          mend: 'Mend that line; "larder check" says whether it is right.',
        })),
  listeners: checkListeners,
  power: checkPower,
  disk: checkDisk,
  clock: checkClock,
  serial: checkSerial,
  gpio: checkGpio,
  cloud: checkCloud,
}

/** Never rejects. What needs the configuration is left out when that has faults. */
export async function* examine(subject: Subject, deps: DoctorDependencies): AsyncGenerator<Finding> {
  const work = CHECKS.map(check => bounded(check, subject, deps))
  for (const each of work) yield* await each
}

async function bounded(check: CheckName, subject: Subject, deps: DoctorDependencies): Promise<Finding[]> {
  const giveUp = new AbortController()
  const patience = PATIENCE[check]
  let told: readonly Told[]
  const late = new Promise<readonly Told[]>(resolve => {
    deps.clock.after(patience, () => {
      giveUp.abort(new Error('it took too long'))
      resolve([
        { grade: 'warn', cause: `it was not done within ${patience / 1000} s`, mend: 'Is the machine very busy?' },
      ])
    })
  })
  try {
    told = await Promise.race([WORK[check](subject, deps, giveUp.signal), late])
  } catch (error) {
    told = [{ grade: 'fail', cause: `it could not be looked at: ${reasonOf(error)}` }]
  }
  return told.map(each => ({ check, ...each }))
}
