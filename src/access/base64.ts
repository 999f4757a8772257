/** The bytes that `text` is the base64 of, padding and all; undefined when there are none or it is written in any other way. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : undefined
}
