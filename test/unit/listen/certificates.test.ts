/** Files that are renewed under a running listener, in all the ways in which people and programs do that. */
import { once } from 'node:events'
import { appendFile, copyFile, mkdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { TlsSettings } from '../../../src/listen/ports.ts'
import { Authority, type Pair, serialOf } from '../../support/certificates.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { needs } from '../../support/needs.ts'
import { until } from '../../support/wait.ts'
import {
  ANY_PORT,
  echo,
  folderOfFile,
  startListener,
  type TestListener,
  temporaryFolder,
  tlsSettings,
} from './support.ts'

/** Milliseconds at which files are looked at though nothing has been told (file-watch.ts). */
const POLL_INTERVAL = 30_000

interface Home {
  folder: string
  cert: string
  key: string
}

describe.skipIf(!needs('openssl'))('certificates of a running listener', () => {
  const { folder: shared, remove } = folderOfFile()
  let authority: Authority
  /** Certificates to be renewed to, and their serial numbers. */
  const pairs: Pair[] = []
  const serials: string[] = []
  beforeAll(async () => {
    authority = await Authority.make(shared, 'ca')
    for (let i = 0; i < 3; i++) pairs.push(await authority.server())
    for (const { cert } of pairs) serials.push(await serialOf(cert))
  })
  afterAll(remove)

  const pair = (index: number) => pairs[index] as Pair

  async function plainHome(): Promise<Home> {
    const folder = await temporaryFolder()
    const home = { folder, cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    await copyFile(pair(0).cert, home.cert)
    await copyFile(pair(0).key, home.key)
    return home
  }

  /** Time goes by itself while somebody waits. */
  async function start(
    settings: Partial<TlsSettings>,
  ): Promise<
    TestListener & { clock: ManualClock; passing<T>(condition: () => T | Promise<T>, what: string): Promise<void> }
  > {
    const clock = new ManualClock(Date.now())
    const started = await startListener(
      { protocol: 'mqtts', ...ANY_PORT, tls: tlsSettings(settings) },
      { clock, onStream: echo },
    )
    const passing = async <T>(condition: () => T | Promise<T>, what: string) => {
      const began = clock.monotonic()
      await until(
        async () => {
          await clock.advance(100)
          return await condition()
        },
        { what: () => `${what}\n${JSON.stringify(started.lines)}` },
      )
      // Told by the system, not found by looking.
      const rounds = Math.floor(clock.monotonic() / POLL_INTERVAL)
      expect(rounds).toBe(Math.floor(began / POLL_INTERVAL))
    }
    return { ...started, clock, passing }
  }

  async function client(port: number): Promise<TLSSocket> {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }

  async function serialAt(port: number): Promise<string | undefined> {
    const socket = await client(port)
    const serial = socket.getPeerX509Certificate()?.serialNumber
    socket.destroy()
    return serial
  }

  const errorsOf = ({ lines }: TestListener) => lines.filter(({ level }) => level === 'error')

  describe.each<[string, (home: Home) => Promise<void>]>([
    [
      'written in place',
      async ({ cert, key }) => {
        await writeFile(cert, await readFile(pair(1).cert))
        await writeFile(key, await readFile(pair(1).key))
      },
    ],
    [
      'replaced by a rename',
      async ({ cert, key }) => {
        for (const [from, to] of [
          [pair(1).key, key],
          [pair(1).cert, cert],
        ] as const) {
          await copyFile(from, `${to}.new`)
          await rename(`${to}.new`, to)
        }
      },
    ],
    [
      'with their folder',
      async ({ folder, cert, key }) => {
        const next = await temporaryFolder()
        await copyFile(pair(1).cert, join(next, 'cert.pem'))
        await copyFile(pair(1).key, join(next, 'key.pem'))
        await rename(folder, `${folder}.old`)
        onTestFinished(() => rm(`${folder}.old`, { recursive: true, force: true }))
        await rename(next, folder)
        expect([cert, key]).toEqual([join(folder, 'cert.pem'), join(folder, 'key.pem')])
      },
    ],
    [
      'taken away and made anew',
      async ({ folder, cert, key }) => {
        await rm(folder, { recursive: true })
        await mkdir(folder)
        await copyFile(pair(1).cert, cert)
        await copyFile(pair(1).key, key)
      },
    ],
  ])('%s', (_how, renew) => {
    test('are taken up; who is connected stays', async () => {
      const home = await plainHome()
      const { cert, key } = home
      const { listener, port, passing, lines } = await start({ cert, key })
      const before = await client(port)
      expect(before.getPeerX509Certificate()?.serialNumber).toBe(serials[0])
      await renew(home)
      await passing(async () => (await serialAt(port)) === serials[1], 'the new certificate')
      before.write('still here')
      expect(String((await once(before, 'data'))[0])).toBe('still here')
      expect(listener.tls?.certificates.map(({ serialNumber }) => serialNumber)).toEqual([serials[1]])
      const news = lines.filter(({ message }) => message.includes('in force'))
      expect(news.at(-1)?.fields).toMatchObject({ serial: serials[1], listener: 'mqtts://127.0.0.1:0' })
      // And once more: what was replaced is still watched.
      await copyFile(pair(2).cert, cert)
      await copyFile(pair(2).key, key)
      await passing(async () => (await serialAt(port)) === serials[2], 'the third certificate')
    })
  })

  test("through Let's Encrypt's links: live/NAME/fullchain.pem -> ../../archive/NAME/fullchain2.pem", async () => {
    const folder = await temporaryFolder()
    const live = join(folder, 'live/home')
    const archive = join(folder, 'archive/home')
    await mkdir(live, { recursive: true })
    await mkdir(archive, { recursive: true })
    const renew = async (number: number) => {
      for (const [name, file] of [
        ['fullchain', pair(number).cert],
        ['privkey', pair(number).key],
      ] as const) {
        await copyFile(file, join(archive, `${name}${number}.pem`))
        const link = join(live, `${name}.pem`)
        await unlink(link).catch(() => {})
        await symlink(`../../archive/home/${name}${number}.pem`, link)
      }
    }
    await renew(0)
    const started = await start({ cert: join(live, 'fullchain.pem'), key: join(live, 'privkey.pem') })
    for (const number of [1, 2]) {
      await renew(number)
      await started.passing(async () => (await serialAt(started.port)) === serials[number], `certificate ${number}`)
    }
    // The file behind the links, written in place.
    await copyFile(pair(0).cert, join(archive, 'fullchain2.pem'))
    await copyFile(pair(0).key, join(archive, 'privkey2.pem'))
    await started.passing(async () => (await serialAt(started.port)) === serials[0], 'the file behind the links')
    expect(errorsOf(started)).toEqual([])
  })

  test('through a link to a folder that is turned by a rename (Kubernetes)', async () => {
    const folder = await temporaryFolder()
    const make = async (number: number) => {
      await mkdir(join(folder, `..${number}`))
      await copyFile(pair(number).cert, join(folder, `..${number}`, 'tls.crt'))
      await copyFile(pair(number).key, join(folder, `..${number}`, 'tls.key'))
      await symlink(`..${number}`, join(folder, '..data_tmp'))
      await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    }
    await make(0)
    for (const name of ['tls.crt', 'tls.key']) await symlink(`..data/${name}`, join(folder, name))
    const started = await start({ cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') })
    await make(1)
    await rm(join(folder, '..0'), { recursive: true })
    await started.passing(async () => (await serialAt(started.port)) === serials[1], 'the new certificate')
    expect(errorsOf(started)).toEqual([])
  })

  test('a file that is emptied and filled again later is waited for, without a word', async () => {
    const { cert, key } = await plainHome()
    const started = await start({ cert, key })
    const text = await readFile(pair(1).cert, 'latin1')
    await writeFile(cert, text.slice(0, 100))
    await copyFile(pair(1).key, key)
    // Long enough that the half of it has been looked at.
    await until(
      async () => {
        await started.clock.advance(50)
        return started.clock.monotonic() >= 1_900
      },
      { what: 'most of the time in which files may settle' },
    )
    expect(await serialAt(started.port)).toBe(serials[0])
    await appendFile(cert, text.slice(100))
    await started.passing(async () => (await serialAt(started.port)) === serials[1], 'the new certificate')
    expect(errorsOf(started)).toEqual([])
  })

  test('a key of another certificate changes nothing and is told once; the right one is taken up', async () => {
    const { cert, key } = await plainHome()
    const started = await start({ cert, key })
    const { port, passing, clock } = started
    await copyFile(pair(1).cert, cert)
    await passing(() => errorsOf(started).length > 0, 'a word about it')
    expect(await serialAt(port)).toBe(serials[0])
    expect(errorsOf(started)[0]?.fields.reason).toMatch(
      `CERTIFICATE_INVALID: ${key} does not belong to the certificate ${cert}.`,
    )
    // Ten minutes, and the time to look at the files twenty times over.
    let looks = 0
    await until(
      async () => {
        await clock.advance(POLL_INTERVAL)
        return ++looks === 20
      },
      { what: 'ten minutes' },
    )
    await expect(started.listener.tls?.prepare()).rejects.toThrow('does not belong to the certificate')
    expect(errorsOf(started)).toHaveLength(1)
    expect(await serialAt(port)).toBe(serials[0])
    await copyFile(pair(1).key, key)
    await passing(async () => (await serialAt(port)) === serials[1], 'the new certificate')
    // The next fault is told again.
    await writeFile(key, 'nothing')
    await passing(() => errorsOf(started).length > 1, 'a word about the next fault')
    expect(await serialAt(port)).toBe(serials[1])
  })

  test('a folder that is gone changes nothing and is told once, and is taken up when it is back', async () => {
    const { folder, cert, key } = await plainHome()
    const started = await start({ cert, key })
    await rm(folder, { recursive: true })
    await started.passing(() => errorsOf(started).length > 0, 'a word about it')
    expect(errorsOf(started)[0]?.fields.reason).toMatch(`${cert} does not exist.`)
    expect(await serialAt(started.port)).toBe(serials[0])
    await mkdir(folder)
    await copyFile(pair(1).cert, cert)
    await copyFile(pair(1).key, key)
    await started.passing(async () => (await serialAt(started.port)) === serials[1], 'the new certificate')
    expect(errorsOf(started)).toHaveLength(1)
  })

  test('what the system does not tell of is found by looking now and then', async () => {
    const { cert, key } = await plainHome()
    const caFolder = await temporaryFolder()
    const elsewhere = join(await temporaryFolder(), 'ca.pem')
    const other = await Authority.make(shared, `ca-${Date.now()}`)
    await copyFile(other.cert, elsewhere)
    await symlink(elsewhere, join(caFolder, 'ca.pem'))
    const { clock, listener, lines } = await start({ cert, key, caFolder, clientCertificates: 'optional' })
    await copyFile(authority.cert, elsewhere)
    const news = () => lines.filter(({ message }) => message.includes('in force'))
    await clock.advance(29_000)
    expect(news()).toEqual([])
    await clock.advance(1_000)
    await until(() => news().length === 1, { what: () => `the change to be found, ${JSON.stringify(lines)}` })
    expect(listener.tls?.certificates).toHaveLength(1)
  })

  test('reload takes up what is there at once', async () => {
    const { cert, key } = await plainHome()
    const { listener, port } = await start({ cert, key })
    await copyFile(pair(1).cert, cert)
    await copyFile(pair(1).key, key)
    ;(await listener.tls?.prepare())?.()
    expect(await serialAt(port)).toBe(serials[1])
  })

  test('a listener that has stopped watches nothing', async () => {
    const { cert, key } = await plainHome()
    const { listener, clock, lines } = await start({ cert, key })
    await listener.stop()
    expect(clock.pending).toBe(0)
    await copyFile(pair(1).cert, cert)
    await clock.advance(60_000)
    expect(lines).toEqual([])
  })

  test('a listener whose files are bad does not start, and leaves nothing behind', async () => {
    const { cert } = await plainHome()
    await expect(start({ cert, key: pair(1).key })).rejects.toThrow('does not belong to the certificate')
  })
})
