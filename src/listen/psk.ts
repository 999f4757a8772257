/** Mosquitto's `psk_file`: lines `identity:hexadecimal key`; empty lines and lines that begin with `#` say nothing. */
import { LarderError } from '../kernel/errors.ts'

/** Bytes of a key that OpenSSL takes. */
const MAX_KEY_BYTES = 256
/** Characters of an identity (RFC 4279 §5.3 asks for 128 at least; a user name of MQTT has room for more). */
const MAX_IDENTITY = 256

/** Keys by their identity. Throws a `LarderError` CERTIFICATE_INVALID that names the line and does not show what stands there. */
export function parsePskFile(text: string, file: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>()
  text.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return
    const refuse = (what: string) => {
      throw new LarderError('CERTIFICATE_INVALID', `${file}:${index + 1}: ${what}.`, {
        hint: 'Write a line as identity:key, the key hexadecimal (openssl rand -hex 32 makes one).',
      })
    }
    const [, identity = '', digits = ''] = /^([^:]*):(.*)$/.exec(line) ?? []
    const hex = digits.trim()
    if (identity === '' || identity.length > MAX_IDENTITY) refuse('an identity and a colon must come first')
    if (!/^[0-9a-f]+$/i.test(hex)) refuse('the key is not hexadecimal')
    // With an odd number of digits, as Mosquitto reads it.
    const key = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
    if (key.length > MAX_KEY_BYTES) refuse(`the key is longer than ${MAX_KEY_BYTES} bytes`)
    if (keys.has(identity)) refuse('this identity has a key already')
    keys.set(identity, key)
  })
  return keys
}
