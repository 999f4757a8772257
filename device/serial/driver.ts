/**
 * The way to the `serialport` package: loaded when the first serial device starts (it takes 50 ms and native
 * code, which a gateway without serial devices does not need), and its errors put into words that help.
 */
import { readSync } from 'node:fs'
import type { SerialPort } from 'serialport'
import { LarderError, reasonOf, systemCodeOf } from '../../src/kernel/errors.ts'

/** What the package exports, as far as it is used. */
export type SerialPortClass = new (...options: ConstructorParameters<typeof SerialPort>) => SerialPort

/** Loads the driver. Rejects with `DRIVER_MISSING` when it is not installed or its native part does not fit this machine. */
export async function loadSerialPort(): Promise<SerialPortClass> {
  const { SerialPort } = await import('serialport')
  const { binding } = SerialPort
  const reading = { list: binding.list, open: async (options: never) => readWhenReady(await binding.open(options)) }
  return class extends SerialPort {
    constructor(...[options, ...rest]: ConstructorParameters<typeof SerialPort>) {
      super(Object.assign({ binding: reading }, options), ...rest)
    }
  }
}

/** What of an open port of Linux is used here. */
interface LinuxPort {
  readonly fd: number | null
  readonly poller: { once(event: 'readable', told: (error: Error | null) => void): unknown }
}

type Read = (buffer: Buffer, offset: number, length: number) => Promise<{ buffer: Buffer; bytesRead: number }>

/**
 * The driver reads first and waits when there is nothing, both in the thread pool: two errands for each line, which were two
 * thirds of what a reading costs. This waits first and then reads at once, which cannot block: the port was opened
 * non-blocking. And nothing to read is a line that hung up: the driver would ask again for ever, without a pause.
 */
function readWhenReady<P extends object>(port: P): P {
  const { poller } = port as Partial<LinuxPort>
  if (poller === undefined) return port
  const read: Read = async (buffer, offset, length) => {
    for (;;) {
      await new Promise<void>((resolve, reject) =>
        poller.once('readable', error => (error ? reject(error) : resolve())),
      )
      const { fd } = port as LinuxPort & P
      if (fd === null) throw Object.assign(new Error('closed'), { canceled: true })
      try {
        const bytesRead = readSync(fd, buffer, offset, length, null)
        if (bytesRead === 0) throw new Error('hung up')
        return { buffer, bytesRead }
      } catch (error) {
        if (!['EAGAIN', 'EINTR'].includes(systemCodeOf(error) ?? '')) throw error
      }
    }
  }
  return Object.assign(port, { read })
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
