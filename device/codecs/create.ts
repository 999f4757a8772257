/**
 * From what the owner wrote to a codec. `loadCodec` once for a device, which may have to bring in a module; what it resolves with
 * makes a new codec for each connection.
 */
import type { Codec, CodecEvents, CodecFactory } from './codec.ts'
import { csvCodec } from './csv.ts'
import { loadCustomCodec } from './custom.ts'
import { dsmrCodec } from './dsmr.ts'
import { jsonCodec } from './json.ts'
import { mhz19Codec } from './mhz19.ts'
import { modbusCodec } from './modbus.ts'
import { nmeaCodec } from './nmea.ts'
import { numberCodec } from './number.ts'
import { pairsCodec } from './pairs.ts'
import { pms5003Codec } from './pms5003.ts'
import { rawCodec } from './raw.ts'
import { regexCodec } from './regex.ts'
import { rflinkCodec } from './rflink.ts'
import { rtl433Codec } from './rtl433.ts'
import { sds011Codec } from './sds011.ts'
import type { BuiltInSettings, CodecSettings } from './settings.ts'

export type { CodecSettings }

/** Rejects with `DEVICE_FAILED` when a codec of the owner's own cannot be loaded. */
export async function loadCodec(settings: CodecSettings): Promise<CodecFactory> {
  if (settings.codec === 'custom') return await loadCustomCodec(settings)
  return events => createCodec(settings, events)
}

/** The codec that the settings name, for one connection. Throws an `Error` when they contradict themselves. */
export function createCodec(settings: BuiltInSettings, events: CodecEvents): Codec {
  switch (settings.codec) {
    case 'json':
      return jsonCodec(settings, events)
    case 'pairs':
      return pairsCodec(settings, events)
    case 'csv':
      return csvCodec(settings, events)
    case 'number':
      return numberCodec(settings, events)
    case 'regex':
      return regexCodec(settings, events)
    case 'rflink':
      return rflinkCodec(settings, events)
    case 'rtl_433':
      return rtl433Codec(settings, events)
    case 'nmea':
      return nmeaCodec(settings, events)
    case 'dsmr':
      return dsmrCodec(events)
    case 'sds011':
      return sds011Codec(events)
    case 'pms5003':
      return pms5003Codec(events)
    case 'mhz19':
      return mhz19Codec(events)
    case 'modbus':
      return modbusCodec(settings, events)
    case 'raw':
      return rawCodec(settings, events)
  }
}
