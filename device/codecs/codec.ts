/**
 * A codec turns a stream of bytes, cut anywhere, into readings. It is pure (no timers, no files) and bounded, and finds its way back
 * after noise: a damaged frame costs that frame, never the next. Nothing is guessed, because a frame that noise went
 * through must not become a false reading: what does not fit is a fault that says what was wrong.
 *
 * One codec serves one connection: a new connection must not inherit half a frame from the old one.
 *
 * Some sensors speak only when they are asked. Their codec has `questions`; whoever holds the port sends one, says so with
 * `asked`, and sends the next when the codec says `answered` or its patience ends; at the end of the round, `finished`.
 */
import type { Reading, ValueDescription } from '../../src/devices/ports.ts'

export interface CodecEvents {
  reading(reading: Reading): void
  /** Something was lost: what and why, as a sentence without a full stop. */
  fault(reason: string): void
  /** The question or command that was sent last has its answer, be it a reading or a refusal. Only of codecs that have questions. */
  answered(): void
}

export interface Codec {
  /** Takes the next bytes. */
  push(chunk: Buffer): void
  /** What has to be sent for one round of readings, in order. Absent for sensors that speak by themselves. */
  readonly questions?: readonly Buffer[] | undefined
  /** The question at this place was sent: what comes from now on may be its answer, and what is held from before is dropped. */
  asked?(index: number): void
  /** The round of questions is over, answered or not: what was gathered from its answers becomes a reading. */
  finished?(): void
  /** Called before the first byte: the line was open and silent for longer than a frame takes, so what comes begins one. */
  quiet?(): void
  /** A command as the bytes to send, which are sent next: no question waits for its answer any more. Throws an `Error` that says what is accepted. Absent: commands are sent as text. */
  encode?(command: string): Buffer
  /** What its values are, as far as the frame says. */
  readonly values?: Readonly<Record<string, ValueDescription>> | undefined
  /** Bytes of the stream that are kept for what comes. Bounded. */
  readonly held?: number | undefined
}

/** Makes the codec of one connection. */
export type CodecFactory = (events: CodecEvents) => Codec
