/**
 * The files of TLS as they are on disk, read all at once: their contents or why they cannot be read, and a fingerprint of
 * both, by which a change is known. Nothing is judged here.
 */
import { createHash } from 'node:crypto'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCodeOf } from '../kernel/errors.ts'
import type { TlsSettings } from './ports.ts'

/** Bytes of one file. The certificates of all authorities take 0.25 MB; revocation lists of large ones some MB. */
const MAX_FILE_BYTES = 16 * 1024 * 1024
/** Files of a `ca_folder`: Debian's own has some 300. */
const MAX_FOLDER_FILES = 5_000

/** What OpenSSL looks for in a folder, and what people put there. */
const CA_FILE = /(?:\.pem|\.crt|^[0-9a-f]{8}\.\d+)$/i

type TlsFileKey = 'cert' | 'key' | 'ca' | 'crl' | 'pskFile'
const FILE_KEYS: readonly TlsFileKey[] = ['cert', 'key', 'ca', 'crl', 'pskFile']

export interface ReadFile {
  readonly path: string
  /** Absent when it could not be read. */
  readonly text?: string
  /** Of the system: ENOENT, EACCES, … */
  readonly fault?: string
}

export interface TlsFiles {
  readonly files: Readonly<Partial<Record<TlsFileKey, ReadFile>>>
  /** Of the `ca_folder`, by name; a folder that cannot be read is one file with a fault. */
  readonly folder: readonly ReadFile[]
  /** The same for the same contents and the same faults. */
  readonly fingerprint: string
}

/** Never rejects: what cannot be read stands in the result. */
export async function readTlsFiles(settings: TlsSettings): Promise<TlsFiles> {
  const files: Partial<Record<TlsFileKey, ReadFile>> = {}
  for (const key of FILE_KEYS) {
    const path = settings[key]
    if (path !== undefined) files[key] = await readOne(path)
  }
  const folder = settings.caFolder === undefined ? [] : await readFolder(settings.caFolder)
  const hash = createHash('sha256')
  for (const { path, text = '', fault = '' } of [...Object.values(files), ...folder]) {
    hash.update(JSON.stringify([path, text, fault]))
  }
  return { files, folder, fingerprint: hash.digest('base64') }
}

async function readFolder(folder: string): Promise<ReadFile[]> {
  try {
    const names = (await readdir(folder)).filter(name => CA_FILE.test(name)).sort()
    const read: ReadFile[] = []
    for (const name of names.slice(0, MAX_FOLDER_FILES)) read.push(await readOne(join(folder, name)))
    return read
  } catch (error) {
    return [{ path: folder, fault: systemCodeOf(error) ?? 'EIO' }]
  }
}

async function readOne(path: string): Promise<ReadFile> {
  try {
    const file = await open(path)
    try {
      const found = await file.stat()
      if (found.isDirectory()) return { path, fault: 'EISDIR' }
      if (!found.isFile()) return { path, fault: 'ENOTFILE' }
      if (found.size > MAX_FILE_BYTES) return { path, fault: 'EFBIG' }
      // One character a byte: PEM is ASCII, and a file that is not must not be bent into it.
      return { path, text: await file.readFile('latin1') }
    } finally {
      await file.close()
    }
  } catch (error) {
    return { path, fault: systemCodeOf(error) ?? 'EIO' }
  }
}
