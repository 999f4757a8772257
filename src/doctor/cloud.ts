/**
 * Bridges: does each reach its upstream and is it let in there, and how long has what must go there waited? A bridge that is
 * connected is believed. Else its way is gone once more, under another client identifier, so that no session is taken over.
 */

import type { Duplex } from 'node:stream'
import type { BridgeConfig } from '../config/schema.ts'
import { openWebSocket } from '../mqtt/websocket.ts'
import type { Check } from './examine.ts'
import { tryLoop } from './loop.ts'
import type { DoctorDependencies, Running, Told, Upstream } from './ports.ts'

/** Milliseconds that messages may wait for an upstream before somebody should know: over an evening's outage. */
const WAITED_LONG = 6 * 3_600_000
/** Return codes of MQTT 3.1.1 and reason codes of MQTT 5 that say that the version is not spoken. */
const OTHER_VERSION: readonly number[] = [1, 0x84]

export const checkCloud: Check = async ({ config, running }, deps, signal) => {
  if (config === undefined) return [{ grade: 'skip', cause: 'bridges stand in the configuration' }]
  if (config.bridges.length === 0) return [{ grade: 'skip', cause: 'there is no bridge' }]
  const told = await Promise.all(config.bridges.map(bridge => checkBridge(bridge, running, deps, signal)))
  return told.flat()
}

async function checkBridge(
  bridge: BridgeConfig,
  running: Running | undefined,
  deps: DoctorDependencies,
  signal: AbortSignal,
): Promise<Told[]> {
  const subject = bridge.name
  const state = running?.bridges.find(({ name }) => name === bridge.name)
  const told: Told[] = []
  if (state?.connected === true) told.push({ subject, grade: 'ok', cause: 'it is connected' })
  else {
    for (const upstream of deps.upstreams(bridge))
      told.push({ subject, ...(await tryUpstream(bridge, upstream, signal)) })
  }
  if (state === undefined || state.waiting === 0) return told
  const { waiting, oldest = 0 } = state
  const hours = (oldest / 3_600_000).toFixed(1)
  if (oldest < WAITED_LONG) told.push({ subject, grade: 'ok', cause: `${waiting} messages wait to be carried` })
  else {
    const cause = `${waiting} messages wait to be carried, the oldest for ${hours} hours`
    told.push({ subject, grade: 'warn', cause, mend: 'Nothing is lost while there is room; mend the connection.' })
  }
  return told
}

async function tryUpstream(bridge: BridgeConfig, upstream: Upstream, signal: AbortSignal): Promise<Told> {
  const { place } = upstream
  for (const version of bridge.version === '3.1.1' ? ([4] as const) : ([5, 4] as const)) {
    let stream: Duplex
    try {
      stream = await upstream.dial(signal)
      if (upstream.path !== undefined) stream = await openWebSocket(stream, { host: place, path: upstream.path })
    } catch (error) {
      return refusal(upstream, error)
    }
    const { username, password } = bridge
    const settings = {
      version,
      clientId: `${bridge.clientId}-doctor`,
      username,
      password,
      maxQos: 0,
      connectOnly: true,
    } as const
    const outcome = await tryLoop(stream, settings, signal)
    if (outcome.reached === 'end') return { grade: 'ok', cause: `${place} lets the bridge in` }
    if (outcome.reached === 'lost')
      return { grade: 'fail', cause: `${place}: ${outcome.reason}`, mend: 'Does it speak MQTT there?' }
    if (outcome.reached !== 'refused') break
    if (version === 5 && bridge.version !== '5' && OTHER_VERSION.includes(outcome.code)) continue
    // The identifier of the trial is not that of the bridge, which such an upstream may insist on.
    if (outcome.code === 2 || outcome.code === 0x85)
      return { grade: 'ok', cause: `${place} answers; only the bridge's own client identifier is let in there` }
    return refusal(upstream, Object.assign(new Error(`code ${outcome.code}`), { code: outcome.code }))
  }
  return { grade: 'warn', cause: `${place} gives no answer that makes sense` }
}

function refusal(upstream: Upstream, error: unknown): Told {
  const { reason, hint } = upstream.explain(error)
  return { grade: 'fail', cause: reason, ...(hint === undefined ? {} : { mend: hint }) }
}
