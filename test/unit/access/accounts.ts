/** A password file with SCRAM users, and conversations with it. */
import { requireArgon2 } from '../../../src/access/argon2.ts'
import { type Credentials, readPasswordFile, scramEntry } from '../../../src/access/credentials.ts'
import type { Conversation, Step } from '../../../src/access/ports.ts'
import type { ScramCost } from '../../../src/access/scram-keys.ts'
import type { ScramClient } from '../../support/scram-client.ts'

export const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')

/** The credentials in a file of these lines. */
export function credentialsOf(...lines: string[]): Credentials {
  const result = readPasswordFile(lines.join('\n'), 'passwords')
  if ('faults' in result) throw new Error(JSON.stringify(result.faults))
  return result.credentials
}

/** The line of a user, at the least cost unless told otherwise. */
export function lineOf(userName: string, password: string, cost: Partial<ScramCost> = {}): Promise<string> {
  return scramEntry(userName, password, { iterations: 4_096, salt: SALT, ...cost })
}

/** Authenticates `client` and gives the server's last step. Throws when the client refuses the server's messages. */
export async function converse(client: ScramClient, conversation: Conversation | undefined): Promise<Step> {
  if (conversation === undefined) throw new Error('the server has no such method')
  const step = await conversation.step(client.first())
  if (step.kind !== 'continue') return step
  return conversation.step(client.final(step.data))
}

/** True when argon2id can be computed here. Otherwise says once which tests are left out, and how to get them back. */
export async function hasArgon2(): Promise<boolean> {
  try {
    await requireArgon2()
    return true
  } catch {
    process.stderr.write('skipped: tests that need @node-rs/argon2, because it is not installed (npm install)\n')
    return false
  }
}
