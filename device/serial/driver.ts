/**
 * The way to the `serialport` package: loaded when the first serial device starts (it takes 50 ms and native
 * code, which a gateway without serial devices does not need), and its errors put into words that help.
 */
import type { SerialPort } from 'serialport'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'

/** What the package exports, as far as it is used. */
export type SerialPortClass = new (...options: ConstructorParameters<typeof SerialPort>) => SerialPort

/** Loads the driver. Rejects with `DRIVER_MISSING` when it is not installed or its native part does not fit this machine. */
export async function loadSerialPort(): Promise<SerialPortClass> {
  return (await import('serialport')).SerialPort
}

/** Says that the driver could not be loaded, and what to do. */
export function driverMissing(path: string, cause: unknown): LarderError {
  return new LarderError('DRIVER_MISSING', `the driver for serial ports cannot be loaded, so ${path} is not read`, {
    hint: `Install it with "npm install serialport" (${firstLine(reasonOf(cause))}).`,
    cause,
  })
}

/** Why a port could not be opened, for the owner. `serialport` gives no codes, only texts. */
export function openFault(path: string, error: unknown): string {
  const text = reasonOf(error)
  if (/no such file/i.test(text)) return `${path} is not there`
  if (/permission denied|EACCES/i.test(text)) {
    return `${path} may not be used: add the user that runs the gateway to the group "dialout"`
  }
  if (/cannot lock|resource busy|EBUSY/i.test(text)) return `${path} is in use by another program or device`
  return `${path} cannot be opened: ${firstLine(text)}`
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
