/** The part that is used of a package which is an optional dependency: it may be absent also when types are checked. */
declare module '@node-rs/argon2' {
  /** The digest, computed on a thread of libuv's pool. `memoryCost` in KiB; the algorithm is Argon2id, version 0x13. */
  export function hashRaw(
    password: Uint8Array,
    options: { memoryCost: number; timeCost: number; parallelism: number; outputLen: number; salt: Uint8Array },
  ): Promise<Buffer>
}
