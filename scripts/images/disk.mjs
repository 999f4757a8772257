/**
 * The card, as a file: a table of three partitions, with the boot files (FAT, which the board's firmware and any laptop read),
 * the system and the data (ext4). Made by tools that write files; nothing is mounted. Numbers that the tools would draw are
 * given, and the card's own mke2fs makes its file systems, so that the bytes do not depend on this machine.
 */

import { execFileSync } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { run } from '../packaging/run.mjs'
import { emulated } from './namespace.mjs'

const MIB = 2 ** 20
/** The kernel and the firmware of all boards take half of it. */
const BOOT_MIB = 128
/** The system takes half of it; `writable apt-get upgrade` needs room beside. */
const ROOT_MIB = 1024
/** Grows to the rest of the card at the first start. */
const DATA_MIB = 64
/** In front of the first partition: where cards begin, for their blocks' sake. */
const START_MIB = 4
const DISK_ID = '0x4c415244'
const BOOT_ID = '4c415244'
const ROOT_ID = '6c617264-6572-4000-8000-726f6f740000'
const DATA_ID = '6c617264-6572-4000-8000-646174610000'
/** Bytes copied at a time; what is zero is left as a hole. */
const BLOCK = MIB

/** Writes the image to `image`. `boot`: names and paths of the files of the boot partition; `root`, `data`: folders. */
export function makeDisk({ image, boot, root, data, work, epoch }) {
  const parts = [
    [makeFat(boot, join(work, 'boot.fat'), epoch), BOOT_MIB],
    [
      makeExt4({
        root,
        from: root,
        to: join(work, 'root.ext4'),
        label: 'larder-root',
        id: ROOT_ID,
        size: ROOT_MIB,
        epoch,
      }),
      ROOT_MIB,
    ],
    [
      makeExt4({
        root,
        from: data,
        to: join(work, 'data.ext4'),
        label: 'larder-data',
        id: DATA_ID,
        size: DATA_MIB,
        epoch,
      }),
      DATA_MIB,
    ],
  ]
  rmSync(image, { force: true })
  const disk = openSync(image, 'w+')
  try {
    ftruncateSync(disk, (START_MIB + BOOT_MIB + ROOT_MIB + DATA_MIB) * MIB)
    const table = [
      'label: dos',
      `label-id: ${DISK_ID}`,
      `start=${START_MIB}MiB, size=${BOOT_MIB}MiB, type=c, bootable`,
      `start=${START_MIB + BOOT_MIB}MiB, size=${ROOT_MIB}MiB, type=83`,
      `start=${START_MIB + BOOT_MIB + ROOT_MIB}MiB, size=${DATA_MIB}MiB, type=83`,
    ]
    execFileSync('sfdisk', ['--quiet', image], { input: `${table.join('\n')}\n`, env: withTools() })
    let place = START_MIB * MIB
    for (const [file, size] of parts) {
      copyInto(file, disk, place)
      place += size * MIB
      rmSync(file)
    }
  } finally {
    closeSync(disk)
  }
}

function makeFat(files, to, epoch) {
  const env = { ...withTools(), TZ: 'UTC', MTOOLS_SKIP_CHECK: '1' }
  truncated(to, BOOT_MIB)
  run('mkfs.vfat', ['--invariant', '-F', '32', '-n', 'LARDER', '-i', BOOT_ID, to], { env })
  for (const [name, from] of files) {
    const copy = `${to}.file`
    copyFileSync(from, copy)
    utimesSync(copy, epoch, epoch)
    run('mcopy', ['-m', '-i', to, copy, `::${name}`], { env })
    rmSync(copy)
  }
  return to
}

function makeExt4({ root, from, to, label, id, size, epoch }) {
  const options = ['-q', '-t', 'ext4', '-b', '4096', '-i', '16384', '-m', '0', '-J', 'size=16', '-L', label, '-U', id]
  const env = { ...process.env, SOURCE_DATE_EPOCH: `${epoch}`, MKE2FS_DEVICE_PHYS_SECTSIZE: '4096', TZ: 'UTC' }
  const args = [...options, '-E', `hash_seed=${id},lazy_itable_init=0,root_owner=0:0`, '-d', from, to, `${size}M`]
  emulated(root, 'usr/sbin/mke2fs', args, { name: 'mke2fs', env })
  return to
}

function truncated(path, size) {
  const file = openSync(path, 'w')
  ftruncateSync(file, size * MIB)
  closeSync(file)
}

function copyInto(path, disk, place) {
  const file = openSync(path, 'r')
  const block = Buffer.alloc(BLOCK)
  const { size } = fstatSync(file)
  for (let at = 0; at < size; at += BLOCK) {
    const length = readSync(file, block, 0, BLOCK, at)
    if (!block.subarray(0, length).every(byte => byte === 0)) writeSync(disk, block, 0, length, place + at)
  }
  closeSync(file)
}

/** Debian keeps tools for disks where an ordinary user does not look. */
function withTools() {
  return { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
}
