/** A message in a JSON object that says when, where and on what topic it came to be: for an upstream that is told late. */
import { isUtf8 } from 'node:buffer'
import type { Message } from '../broker/ports.ts'
import { isoTime } from '../kernel/iso-time.ts'

export interface Origin {
  /** ms of wall time. */
  readonly time: number
  /** Name of the gateway. */
  readonly gateway: string
}

/** The text of the object. A payload that is JSON stands in it as it is, to the digit. */
export function wrapped({ topic, payload }: Message, { time, gateway }: Origin): string {
  const head = JSON.stringify({ time: isoTime(time), gateway, topic }).slice(0, -1)
  if (!isUtf8(payload)) return `${head},"payload_base64":"${payload.toString('base64')}"}`
  const text = payload.toString()
  return `${head},"payload":${isJson(text) ? text : JSON.stringify(text)}}`
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
