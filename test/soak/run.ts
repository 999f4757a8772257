/**
 * The soak: a gateway, an upstream that comes and goes, a household full of clients, and somebody who watches. At the
 * end everybody leaves, those with a session take what waits for them and give it up, and what is still in the
 * gateway and its store is compared with what was there before.
 */
import { rmSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as timer } from 'node:timers/promises'
import { Level } from 'level'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { folderBytes } from '../support/procfs.ts'
import { until } from '../support/wait.ts'
import { Random } from '../torture/random.ts'
import { type Counts, Household } from './household.ts'
import { inhabit, LASTING, LONGEST_EXPIRY, WILL_TOPICS } from './inhabitants.ts'
import { INSPECTED, Inspector } from './inspector.ts'
import { LogBook } from './log-book.ts'
import { publish, STATE_TOPICS } from './publishers.ts'
import { handlesOf, Sampler } from './sampler.ts'
import { type Bounds, faults, type Remains, type Sample, type Trend, trends } from './verdict.ts'

export interface SoakOptions {
  seconds: number
  seed: number
  bounds: Bounds
  onSample?: (sample: Sample, counts: Counts) => void
}

export interface SoakResult {
  samples: Sample[]
  trends: Trend[]
  remains: Remains
  counts: Counts
  /** What the gateway said, and how often. */
  log: ReadonlyMap<string, number>
  /** What is not flat; empty when all is. */
  faults: string[]
}

/** A queue holds what a regular misses in some seconds, so it overflows when he stays away for longer. */
const config = (upstream: number): string => `
name: Soak
limits: { max_queued_messages: 500, max_queued_bytes: 256KiB }
devices:
  - name: Gateway
    system: { every: 1s }
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${upstream}
    retry: { min: 100ms, max: 500ms }
    out:
      - filter: /Home/#
        remote_prefix: cloud
log: { level: warn }
`
/** An outage begins so often in a run, and lasts for a third of the time between two. */
const OUTAGES = 16
/** What is waited for at the end. */
const PATIENCE = 60_000
/** ms after the last session or will is due: the gateway looks for them four times a second, for messages once. */
const SWEPT = 2_000

/** Rejects when the gateway does not behave; what is not flat is in the result. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const upstream = await startMosquitto({ config: ['max_queued_messages 0', 'log_type none'] })
  let onExit = (): void => {}
  try {
    await using gateway = await startGateway({ config: config(upstream.port), env: INSPECTED })
    // Somebody who interrupts a soak shall not leave the gateway behind.
    onExit = () => {
      if (gateway.process.running) process.kill(gateway.pid, 'SIGKILL')
      rmSync(gateway.folder, { recursive: true, force: true })
    }
    process.once('exit', onExit)
    // The first start makes the store and what the devices retain; nobody has been there.
    await bridged(gateway, upstream)
    await gateway.stop()
    const before = await storedIn(gateway.dataDir)
    await gateway.start()
    return await soakGateway(gateway, upstream, options, before)
  } finally {
    process.off('exit', onExit)
    await upstream.remove()
  }
}

async function soakGateway(
  gateway: Gateway,
  upstream: Mosquitto,
  { seconds, seed, bounds, onSample }: SoakOptions,
  before: Stored,
): Promise<SoakResult> {
  const { port, pid, dataDir } = gateway
  using inspector = await Inspector.attach(gateway.stderr)
  await bridged(gateway, upstream)
  const { handles: handlesBefore } = await handlesOf(pid, dataDir)
  const log = new LogBook()
  const household = new Household({ port, seconds })
  const random = new Random(seed)
  await using sampler = await Sampler.start(
    {
      pid,
      dataDir,
      inspector,
      seconds,
      onSample(sample) {
        log.take(gateway.process.errors)
        onSample?.(sample, household.counts)
      },
    },
    port,
  )
  const over = timer(seconds * 1_000).then(() => household.end())
  await Promise.all([
    over,
    inhabit(household, random.fork()),
    publish(household, random.fork()),
    outages(household, random.fork(), upstream),
  ])
  await sampler.stop()

  await leave(household)
  await bridged(gateway, upstream)
  const handlesAfter = await handlesAtRest(gateway, handlesBefore)
  // Node waits for its inspector to go.
  inspector[Symbol.dispose]()
  await gateway.stop()
  log.take(gateway.process.errors)

  const after = await storedIn(dataDir)
  const remains: Remains = {
    handles: { before: handlesBefore, after: handlesAfter },
    store: { before: before.bytes, after: after.bytes },
    records: { before: before.records, after: after.records },
  }
  const { samples, lives } = sampler
  const found = trends(samples, lives, bounds)
  return {
    samples,
    trends: found,
    remains,
    counts: household.counts,
    log: log.counts,
    faults: faults({ trends: found, remains, unexpected: log.unexpected }),
  }
}

async function outages(household: Household, random: Random, upstream: Mosquitto): Promise<void> {
  const third = (household.seconds * 1_000) / OUTAGES / 3
  while (!household.isOver) {
    await household.pause(random, 1.5 * third, 2.5 * third)
    if (household.isOver) return
    await upstream.stop()
    household.counts.outages++
    await household.pause(random, 0.5 * third, 1.5 * third)
    await upstream.restart()
  }
}

/** Everybody with a session takes what waits for it and ends it, and every retained message is taken back. */
async function leave(household: Household): Promise<void> {
  const last = await RawClient.connect({ port: household.port, clientId: 'last', patience: PATIENCE })
  for (const { clientId, version } of LASTING) {
    const topic = `soak/end/${clientId}`
    const { client } = await household.enter({ clientId, version, clean: false })
    let isDrained = false
    client.onPacket = packet => {
      household.hear(packet)
      if (packet.cmd === 'publish' && packet.topic === topic) isDrained = true
    }
    await client.subscribe({ topic, qos: 1 })
    // It stands behind everything that waits.
    await last.publish(topic, 'end', { qos: 1 })
    await until(() => isDrained, { what: `the end of the queue of ${clientId}`, timeout: PATIENCE })
    await client.disconnect()
    await (await household.enter({ clientId, version, clean: true })).client.disconnect()
  }
  // The last sessions and wills of those who passed by.
  await timer(LONGEST_EXPIRY * 1_000 + SWEPT)
  for (let i = 0; i < STATE_TOPICS; i++) await last.publish(`soak/state/${i}`, '', { qos: 1, retain: true })
  for (let i = 0; i < WILL_TOPICS; i++) await last.publish(`soak/will/${i}`, '', { qos: 1, retain: true })
  await last.disconnect()
}

/** Resolves when a message that is published now has reached the upstream: nothing waits in the spool. */
async function bridged(gateway: Gateway, upstream: Mosquitto): Promise<void> {
  await using there = await RawClient.connect({ port: upstream.port, clientId: 'there', patience: PATIENCE })
  await there.subscribe({ topic: 'cloud/Home/marker', qos: 1 })
  const here = await RawClient.connect({ port: gateway.port, clientId: 'here', patience: PATIENCE })
  await here.publish('/Home/marker', 'here', { qos: 1 })
  await here.disconnect()
  await there.received(1, PATIENCE)
}

/** The open handles when the kernel has put away the connections that have just ended. */
async function handlesAtRest(gateway: Gateway, before: number): Promise<number> {
  let handles = Number.NaN
  const isBack = async (): Promise<boolean> => {
    handles = (await handlesOf(gateway.pid, gateway.dataDir)).handles
    return handles <= before
  }
  await until(isBack, { what: 'the handles' }).catch(() => {}) // the verdict tells it
  return handles
}

interface Stored {
  /** Bytes of the store, compacted. */
  bytes: number
  /** Records by the first letter of their keys (src/store/keys.ts). */
  records: Record<string, number>
}

/** Compacts a copy of a store that nobody has open, and counts. */
async function storedIn(dataDir: string): Promise<Stored> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-soak-'))
  try {
    const copy = join(folder, 'store')
    await cp(join(dataDir, 'store'), copy, { recursive: true })
    const level = new Level<Buffer, Buffer>(copy, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    await level.open()
    const records: Record<string, number> = {}
    for await (const key of level.keys()) {
      const family = String.fromCharCode(key[0] ?? 0)
      records[family] = (records[family] ?? 0) + 1
    }
    // classic-level has it, the types of `level` do not: other databases cannot.
    const all = level as unknown as { compactRange(from: Buffer, to: Buffer): Promise<void> }
    await all.compactRange(Buffer.of(0), Buffer.of(0xff))
    await level.close()
    return { bytes: await folderBytes(copy), records }
  } finally {
    await rm(folder, { recursive: true })
  }
}
