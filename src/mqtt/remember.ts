/**
 * Answers that were found for topics, of which some subscriptions match. They are kept where that spares work; whoever
 * invents topics fills no memory.
 */
import { hasWildcards } from './topics.ts'

/** Characters of a topic that is worth it: with the number of answers, this bounds what they hold. Those of a home have less than a hundred. */
const MAX_LENGTH = 256

/** Keeps the answer, unless the topic is too long. When there are `max`, all are dropped and found again. */
export function remember<T>(answers: Map<string, T>, topic: string, answer: T, max: number): void {
  if (topic.length > MAX_LENGTH) return
  if (answers.size >= max) answers.clear()
  answers.set(topic, answer)
}

/** Somebody has subscribed or left, with this topic filter: the topics that match have other answers now. */
export function forget(answers: Map<string, unknown>, filter: string): void {
  if (hasWildcards(filter)) answers.clear()
  else answers.delete(filter)
}
