/** `access`, for all listeners or for one: who may come in, and what they may do. */
import * as v from 'valibot'
import { list, map } from './structure.ts'
import { flag, type Schema, text } from './values.ts'

/** As it is written; paths may be relative. */
export interface AccessEntry {
  passwordFile?: string
  aclFile?: string
  /** Undefined: nobody has said. */
  allowAnonymous?: boolean
  grantEverySubscription: boolean
  clientIdPrefixes: string[]
  allowEmptyClientId: boolean
  autoIdPrefix: string
}

/** MQTT 3.1.1 lets a client come without an identifier, and be given one. */
export const AUTO_ID_PREFIX = 'larder-'

export function access(): Schema<AccessEntry> {
  return map(
    {
      password_file: v.exactOptional(text({ example: 'passwords' })),
      acl_file: v.exactOptional(text({ example: 'acl' })),
      allow_anonymous: v.exactOptional(flag()),
      grant_every_subscription: v.optional(flag(), false),
      client_id_prefixes: v.optional(list(text({ example: 'kitchen-' }), { example: 'kitchen-' }), []),
      allow_empty_client_id: v.optional(flag(), true),
      auto_id_prefix: v.optional(text({ example: 'auto-', mayBeEmpty: true, max: 200 }), AUTO_ID_PREFIX),
    },
    { example: 'password_file: passwords' },
  )
}
