/** `devices[].serial`: a port and what speaks on it. */
import * as v from 'valibot'
import { map, type Report } from '../structure.ts'
import type { Schema } from '../values.ts'
import { type CodecConfig, checkCodec, codecEntries, completeCodec } from './codec.ts'
import { checkPort, completePort, portEntries, type SerialPortConfig } from './serial-port.ts'

export type SerialConfig = SerialPortConfig & CodecConfig & { baud: number }

export function serial(): Schema<SerialConfig> {
  const check = (written: Record<string, unknown>, report: Report) => {
    checkPort(written, report)
    checkCodec(written, report)
  }
  return v.pipe(
    map({ ...portEntries, ...codecEntries }, { example: 'path: /dev/ttyUSB0', check }),
    v.transform(written => completeCodec(completePort(written))),
  )
}
