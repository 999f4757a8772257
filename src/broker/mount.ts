/**
 * The mount point of a listener: a prefix that its clients do not see. What they publish and subscribe to gets it, what
 * they are sent loses it. Mosquitto's `mount_point`.
 */
import type { Message } from '../mqtt/message.ts'
import { topicBytesOf } from '../mqtt/publish.ts'
import { splitShare } from '../mqtt/topics.ts'

/** The filter as the broker knows it; the group of a shared subscription stays in front. */
export function mountedFilter(mountPoint: string, filter: string): string {
  if (mountPoint === '') return filter
  const share = splitShare(filter)
  if (share === undefined) return mountPoint + filter
  return filter.slice(0, filter.length - share.filter.length) + mountPoint + share.filter
}

/** The message as the client knows it. */
export function withoutMount(mountPoint: string, message: Message): Pick<Message, 'topic' | 'topicBytes' | 'payload'> {
  if (mountPoint === '' || !message.topic.startsWith(mountPoint)) return message
  const topic = message.topic.slice(mountPoint.length)
  return { topic, topicBytes: topicBytesOf(topic), payload: message.payload }
}
