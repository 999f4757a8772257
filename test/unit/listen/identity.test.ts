/** The judge is openssl: `-nameopt RFC2253` is what Mosquitto calls for a user name. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { identityOf } from '../../../src/listen/identity.ts'
import { Authority, openssl } from '../../support/certificates.ts'
import { needs } from '../../support/needs.ts'
import { temporaryFolder } from './support.ts'

describe.skipIf(!needs('openssl'))('the identity in a certificate', () => {
  test.each<[string, string | undefined]>([
    ['/CN=lamp', 'lamp'],
    ['/C=DE/O=Home/OU=Kitchen/CN=lamp', 'lamp'],
    ['/CN=küche 灯', 'küche 灯'],
    ['/O=a\\, b; c<d>"e"\\\\f/CN=with\\, comma', 'with, comma'],
    ['/O= leading and trailing /CN=#hash', '#hash'],
    ['/CN=a=b\\+c \\+ d', 'a=b+c + d'],
    ['/O=Home/OU=Kitchen+CN=lamp', 'lamp'],
    ['/OU=x\\+y+CN=a \\+ b+O=z/C=DE', 'a + b'],
    ['/CN=first/CN=second', 'first'],
    ['/O=Home/emailAddress=owner@example.org', undefined],
    ['/DC=org/DC=example/UID=7/CN=lamp', 'lamp'],
    ['/CN=tab\there', 'tab\there'],
  ])('%s', async (subject, commonName) => {
    const authority = await Authority.make(await temporaryFolder(), 'ca')
    const { cert } = await authority.issue({ subject })
    const printed = await openssl('x509', '-in', cert, '-noout', '-subject', '-nameopt', 'RFC2253')
    // All that was asked for is in it: else this would be a test of nothing.
    expect(printed.split('=').length).toBeGreaterThanOrEqual(subject.split('=').length)
    expect(identityOf(new X509Certificate(await readFile(cert)))).toEqual({
      ...(commonName === undefined ? {} : { commonName }),
      subject: printed.replace(/^subject=/, ''),
    })
  })
})
