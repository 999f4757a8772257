/** Every way in which a file of TLS can be wrong, with the sentence that its owner gets. */
import { appendFile, chmod, copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LarderError } from '../../../src/kernel/errors.ts'
import type { TlsSettings } from '../../../src/listen/ports.ts'
import { readTlsFiles } from '../../../src/listen/tls-files.ts'
import { makeTlsMaterial, type TlsMaterial } from '../../../src/listen/tls-material.ts'
import { Authority, openssl, type Pair, serialOf } from '../../support/certificates.ts'
import { needs } from '../../support/needs.ts'
import { folderOfFile, tlsSettings } from './support.ts'

describe.skipIf(!needs('openssl'))('files of TLS', () => {
  const { folder, remove } = folderOfFile()
  let authority: Authority
  let server: Pair
  beforeAll(async () => {
    authority = await Authority.make(folder, 'ca')
    server = await authority.server()
  })
  afterAll(remove)

  async function make(settings: Partial<TlsSettings>): Promise<TlsMaterial> {
    const whole = tlsSettings({ ...server, ...settings })
    return makeTlsMaterial(await readTlsFiles(whole), whole, Date.now())
  }

  async function faultOf(settings: Partial<TlsSettings>): Promise<string> {
    const error = await make(settings).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(LarderError)
    expect((error as LarderError).code).toBe('CERTIFICATE_INVALID')
    expect((error as LarderError).hint).not.toBe('')
    return (error as LarderError).toLine()
  }

  async function file(name: string, text: string | Buffer): Promise<string> {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }

  test('that are good say what they are', async () => {
    const { certificates, warnings } = await make({ ca: authority.cert, crl: authority.crl })
    expect(warnings).toEqual([])
    const day = 86_400_000
    const [own, ca] = certificates
    expect(own).toMatchObject({ file: server.cert, subject: 'CN=localhost', serialNumber: await serialOf(server.cert) })
    expect(((own?.expiresAt ?? 0) - Date.now()) / day).toBeCloseTo(90, 0)
    expect(ca).toMatchObject({ file: authority.cert, subject: 'CN=ca' })
  })

  test('that are missing', async () => {
    expect(await faultOf({ cert: '/no/such/file.pem' })).toMatch('/no/such/file.pem does not exist. Check the path')
    expect(await faultOf({ key: join(server.cert, 'x') })).toMatch(
      'does not exist. Check the path: a part of it is a file',
    )
    expect(await faultOf({ caFolder: '/no/such/folder' })).toMatch('/no/such/folder does not exist.')
  })

  test.skipIf(process.getuid?.() === 0)('that may not be read', async () => {
    const key = await file('locked.key', 'x')
    await chmod(key, 0)
    expect(await faultOf({ key })).toMatch(`${key} may not be read by the user that Larder runs as. Give that user`)
  })

  test('that are no files, or are endless', async () => {
    expect(await faultOf({ cert: folder })).toMatch(`${folder} is a folder.`)
    expect(await faultOf({ cert: '/dev/null' })).toMatch('/dev/null is no ordinary file.')
    const huge = await file('huge.pem', Buffer.alloc(17 * 1024 * 1024, '\n'))
    expect(await faultOf({ ca: huge })).toMatch('huge.pem is far too large.')
  })

  test('a link that leads round in a circle', async () => {
    const loop = join(folder, 'loop.pem')
    await symlink(loop, loop)
    expect(await faultOf({ cert: loop })).toMatch('is a link that leads round in a circle.')
  })

  test('a certificate that is none', async () => {
    expect(await faultOf({ cert: await file('empty.pem', '') })).toMatch('empty.pem holds no certificate in PEM.')
    expect(await faultOf({ cert: server.key })).toMatch('holds no certificate in PEM. It must have a line -----BEGIN')
    const der = join(folder, 'server.der')
    await openssl('x509', '-in', server.cert, '-outform', 'der', '-out', der)
    expect(await faultOf({ cert: der })).toMatch(
      `It looks like DER; convert it with: openssl x509 -inform der -in ${der}`,
    )
    const text = await readFile(server.cert, 'latin1')
    const broken = text.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA')
    expect(await faultOf({ cert: await file('broken.pem', broken) })).toMatch('(number 1) that cannot be read (')
    const half = text.slice(0, text.length / 2)
    expect(await faultOf({ cert: await file('half.pem', half) })).toMatch('half.pem holds no certificate in PEM.')
    const chain = await file('chain.pem', text + broken)
    expect(await faultOf({ cert: chain })).toMatch('chain.pem has a certificate (number 2) that cannot be read (')
  })

  test('a key that is none, is locked, or belongs to another certificate', async () => {
    expect(await faultOf({ key: server.cert })).toMatch('.crt holds no private key in PEM.')
    const text = await readFile(server.key, 'latin1')
    const broken = await file('broken.key', text.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'))
    expect(await faultOf({ key: broken })).toMatch('broken.key cannot be read as a private key (')
    const locked = join(folder, 'locked')
    await openssl('pkey', '-in', server.key, '-aes256', '-passout', 'pass:secret', '-out', locked)
    expect(await faultOf({ key: locked })).toMatch(
      `is encrypted, and there is nobody to ask for its password. Decrypt it with: openssl pkey -in ${locked}`,
    )
    const old = join(folder, 'old')
    await openssl('ec', '-in', server.key, '-aes256', '-passout', 'pass:secret', '-out', old)
    expect(await faultOf({ key: old })).toMatch('is encrypted')
    const other = await authority.server()
    expect(await faultOf({ key: other.key })).toMatch(`${other.key} does not belong to the certificate ${server.cert}.`)
  })

  test('a chain whose own certificate does not come first', async () => {
    const turned = (await readFile(authority.cert, 'latin1')) + (await readFile(server.cert, 'latin1'))
    expect(await faultOf({ cert: await file('turned.pem', turned) })).toMatch(
      'in a chain, the own certificate must come first',
    )
  })

  test('a weak key is refused by OpenSSL, by the name of its file', async () => {
    const weak = { cert: join(folder, 'weak.pem'), key: join(folder, 'weak.key') }
    await openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:512',
      '-nodes',
      '-subj',
      '/CN=weak',
      '-keyout',
      weak.key,
      '-out',
      weak.cert,
    )
    expect(await faultOf(weak)).toMatch(`${weak.cert} is refused by OpenSSL (`)
  })

  test('an expired certificate is used, and warned about', async () => {
    const expired = await authority.server({ expired: true })
    const { warnings } = await make(expired)
    expect(warnings).toEqual([expect.stringMatching(`${expired.cert}: CN=localhost has expired on 20`)])
  })

  test('a certificate of the future is used, and warned about', async () => {
    const settings = tlsSettings(server)
    const yesterday = Date.now() - 86_400_000
    const { warnings } = makeTlsMaterial(await readTlsFiles(settings), settings, yesterday)
    expect(warnings).toEqual([expect.stringMatching(/is not valid before .* clients refuse it until then/)])
  })

  test('authorities and lists that are none', async () => {
    expect(await faultOf({ ca: server.key })).toMatch('holds no certificate in PEM.')
    expect(await faultOf({ ca: authority.cert, crl: authority.cert })).toMatch('holds no revocation list in PEM.')
    const text = await readFile(authority.crl, 'latin1')
    const broken = await file('broken.crl', text.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'))
    expect(await faultOf({ ca: authority.cert, crl: broken })).toMatch(/is refused by OpenSSL \(/)
  })

  test('a folder of authorities: *.pem, *.crt and hashed names, each once, and what is none of them is left out', async () => {
    const caFolder = join(folder, 'authorities')
    await mkdir(caFolder)
    expect(await faultOf({ caFolder })).toMatch(`${caFolder} holds no certificate. Its files must be PEM and be called`)
    const others = await Promise.all(['b', 'c'].map(name => Authority.make(folder, name)))
    await copyFile(authority.cert, join(caFolder, 'a.pem'))
    await copyFile(others[0]?.cert ?? '', join(caFolder, 'b.crt'))
    await copyFile(others[1]?.cert ?? '', join(caFolder, '0a1b2c3d.0'))
    await symlink('a.pem', join(caFolder, 'deadbeef.1'))
    await copyFile(authority.cert, join(caFolder, 'README'))
    await writeFile(join(caFolder, 'broken.crt'), 'nothing')
    const { options, warnings } = await make({ caFolder })
    expect(options.ca).toHaveLength(3)
    expect(warnings).toEqual([expect.stringMatching(/^left out: .*broken.crt holds no certificate in PEM/)])
  })

  test('pre-shared keys', async () => {
    const pskFile = await file('psk', 'lamp:c0ffee\n')
    const { psk, options, certificates } = await make({ cert: undefined, key: undefined, pskFile } as never)
    expect([psk.get('lamp')?.toString('hex'), options.maxVersion, certificates]).toEqual(['c0ffee', 'TLSv1.2', []])
    expect(await faultOf({ pskFile, minVersion: 'TLSv1.3' })).toMatch('pre-shared keys need TLS 1.2.')
    await appendFile(pskFile, 'nonsense\n')
    expect(await faultOf({ pskFile })).toMatch(`${pskFile}:2: `)
    expect((await make({ pskFile: await file('none', '#\n') })).warnings).toEqual([
      expect.stringMatching('holds no key'),
    ])
  })

  test('ciphers that nobody knows', async () => {
    expect(await faultOf({ ciphers: 'NO-SUCH-CIPHER' })).toMatch('OpenSSL does not know the ciphers NO-SUCH-CIPHER (')
    expect(await faultOf({ ciphersTls13: 'TLS_NO_SUCH' })).toMatch('OpenSSL does not know the ciphers TLS_NO_SUCH (')
  })
})
