/**
 * Codecs turn one line of text into a reading. They are pure, and bounded by the length of the line and by
 * `MAX_VALUES`. A line that does not fit is an error whose message says what is wrong with it; nothing is
 * guessed, because a line that noise went through must not become a false reading.
 */
import { csvCodec } from './csv.ts'
import { jsonCodec } from './json.ts'
import { numberCodec } from './number.ts'
import { pairsCodec } from './pairs.ts'
import type { LineCodec } from './values.ts'

export interface LineCodecSettings {
  readonly codec: 'json' | 'pairs' | 'csv' | 'number'
  /** csv: the names of the cells, in order. */
  readonly columns?: readonly string[] | undefined
  /** csv: what stands between two cells. */
  readonly separator?: string | undefined
}

/** The codec that the settings name. */
export function createLineCodec(settings: LineCodecSettings): LineCodec {
  switch (settings.codec) {
    case 'json':
      return jsonCodec
    case 'pairs':
      return pairsCodec
    case 'csv':
      return csvCodec({ columns: settings.columns ?? [], separator: settings.separator ?? ',' })
    case 'number':
      return numberCodec
  }
}
