/** The bytes that `text` is the base64 of, padding and all; undefined when there are none or it is written in any other way. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : undefined
}

/** The same for base64 without padding, as the PHC string format has it. */
export function decodeUnpadded(text: string): Buffer | undefined {
  return text.includes('=') ? undefined : decodeBase64(text.padEnd(Math.ceil(text.length / 4) * 4, '='))
}

/** `bytes` in base64 without padding. */
export function encodeUnpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
