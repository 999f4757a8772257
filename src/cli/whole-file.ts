/** Files that are written whole or not at all. */
import { open, rename, rm } from 'node:fs/promises'

/** What is in it is its owner's alone. */
const MODE = 0o600

/** Under another name until it is whole and on the disk, so that no half of it is ever taken for a backup. Resolves to its bytes. */
export async function writeWhole(path: string, blocks: AsyncIterable<Buffer>): Promise<number> {
  const unfinished = `${path}.part`
  let size = 0
  try {
    await using handle = await open(unfinished, 'w', MODE)
    for await (const block of blocks) {
      await handle.writeFile(block)
      size += block.length
    }
    await handle.sync()
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  await rename(unfinished, path)
  return size
}
