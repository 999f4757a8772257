/** Sums that guard frames. */

const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1
  return crc
})

/** CRC-16 with the polynomial A001 (bits reversed): from 0xFFFF for Modbus, from 0 for a P1 telegram. */
export function crc16(bytes: Buffer, from: number): number {
  let crc = from
  for (const byte of bytes) crc = (crc >> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0)
  return crc
}

/** The sum of bytes; its caller takes as many bits of it as the frame has. */
export function sum(bytes: Buffer): number {
  return bytes.reduce((total, byte) => total + byte, 0)
}
