/** What the owner says of a codec: its name in `codec`, and what that one needs to know. */

export type CodecSettings = BuiltInSettings | CustomSettings

export type BuiltInSettings =
  | JsonSettings
  | CsvSettings
  | RegexSettings
  | NmeaSettings
  | PlainLineSettings
  | FrameSettings
  | ModbusSettings
  | RawSettings

interface LineSettings {
  /** Bytes of one line without its end; a longer one is dropped. */
  readonly maxLine: number
}

export interface JsonSettings extends LineSettings {
  readonly codec: 'json'
  /** What is taken, by the name it gets, such as `main.temp` or `list[0].x`; everything when absent. */
  readonly paths?: Readonly<Record<string, string>> | undefined
}

export interface CsvSettings extends LineSettings {
  readonly codec: 'csv'
  /** The names of the cells, in order. */
  readonly columns: readonly string[]
  /** What stands between two cells. */
  readonly separator: string
}

export interface RegexSettings extends LineSettings {
  readonly codec: 'regex'
  /** Its named groups are the values. */
  readonly pattern: string
}

export interface NmeaSettings extends LineSettings {
  readonly codec: 'nmea'
  /** The sentences that are read, such as `RMC`; all that are known when absent. */
  readonly sentences?: readonly string[] | undefined
}

export interface PlainLineSettings extends LineSettings {
  readonly codec: 'pairs' | 'number' | 'rflink' | 'rtl_433'
}

/** Their frames say all. */
export interface FrameSettings {
  readonly codec: 'dsmr' | 'sds011' | 'pms5003' | 'mhz19'
}

export interface ModbusSettings {
  readonly codec: 'modbus'
  readonly registers: readonly ModbusRegister[]
  /** Registers (for coils: 16 of them) that nobody wants and that are read along, so that one question does for two. */
  readonly maxGap: number
}

/** What a register holds. `bits` is the text `0101…`: of a register its 16 bits, highest first; of coils, in their order. */
export type ModbusType =
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'float32'
  | 'uint64'
  | 'int64'
  | 'float64'
  | 'bool'
  | 'bits'
  | 'string'

export interface ModbusRegister {
  readonly name: string
  /** Address of the device on its wire: 1 to 247. */
  readonly unitId: number
  readonly function: 'holding' | 'input' | 'coil' | 'discrete'
  /** As on the wire: from 0. */
  readonly address: number
  readonly type: ModbusType
  /** `string`: registers; `bits` of coils: coils. */
  readonly length: number
  /** Which of several registers comes first: the high one (`big`, as the standard has it) or the low one. */
  readonly wordOrder: 'big' | 'little'
  /** Which byte of a register comes first. */
  readonly byteOrder: 'big' | 'little'
  /** The value is what the register holds, times `scale`, plus `offset`. */
  readonly scale: number
  readonly offset: number
  readonly unit?: string | undefined
  readonly deviceClass?: string | undefined
  readonly stateClass?: 'measurement' | 'total' | 'total_increasing' | undefined
}

export interface RawSettings {
  readonly codec: 'raw'
  /** Bytes of a frame; absent when it ends with `delimiter`. */
  readonly length?: number | undefined
  /** What a frame begins with; hexadecimal. What comes before it is dropped. */
  readonly start?: string | undefined
  /** What stands between two frames; hexadecimal. */
  readonly delimiter?: string | undefined
  /** Bytes of a frame that ends with `delimiter`; a longer one is dropped. */
  readonly maxLength: number
  readonly encoding: 'hex' | 'base64'
}

export interface CustomSettings {
  readonly codec: 'custom'
  /** The module; absolute. */
  readonly file: string
  /** Whatever it wants to know. */
  readonly options: Readonly<Record<string, unknown>>
}
