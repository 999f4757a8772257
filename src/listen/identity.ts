/** Who a client's certificate says it is, in the words that user names and access rules are written in. */
import type { X509Certificate } from 'node:crypto'
import type { ClientIdentity } from './ports.ts'

export function identityOf(certificate: X509Certificate): ClientIdentity {
  const names = certificate.toLegacyObject().subject?.CN as string | string[] | undefined
  const commonName = Array.isArray(names) ? names[0] : names
  const subject = subjectOf(certificate)
  // A zero inside a name is an old trick: C programs that made the rules saw only what stands before it.
  return {
    ...(commonName === undefined || commonName === '' || commonName.includes('\0') ? {} : { commonName }),
    ...(subject === '' ? {} : { subject }),
  }
}

/**
 * The subject as RFC 2253 has it and OpenSSL writes it (`X509_NAME_print_ex` with `XN_FLAG_RFC2253`), which is the user
 * name that Mosquitto gives: last part first, everything beyond ASCII as bytes. Node escapes what has to be, but
 * writes a part a line, in the certificate's order.
 */
export function subjectOf(certificate: X509Certificate): string {
  return (certificate.subject ?? '')
    .split('\n')
    .reverse()
    .map(part => splitParts(part).reverse().join('+'))
    .join(',')
    .replace(/[^\0-\x7f]+/g, text => Buffer.from(text).reduce((all, byte) => `${all}\\${hex(byte)}`, ''))
}

/** A part with several values, `OU=Home + CN=Lamp`; a plus inside a value is escaped. */
function splitParts(part: string): string[] {
  return part.split(/(?<!\\) \+ /)
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0')
}
