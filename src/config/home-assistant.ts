/** `home_assistant`: whether devices are announced there, and the topics that it listens to. */
import * as v from 'valibot'
import type { HomeAssistantConfig } from './schema.ts'
import { map } from './structure.ts'
import { levels, topicName } from './topics.ts'
import { flag, type Schema } from './values.ts'

/** Home Assistant's own defaults. */
const PREFIX = 'homeassistant'
const BIRTH_TOPIC = 'homeassistant/status'

/** Absent, nothing is announced; a section with nothing in it is enough to announce everything. */
export function homeAssistant(): Schema<HomeAssistantConfig> {
  return map(
    {
      enabled: v.optional(flag(), true),
      prefix: v.optional(levels(PREFIX), PREFIX),
      birth_topic: v.optional(topicName(BIRTH_TOPIC), BIRTH_TOPIC),
    },
    { example: 'enabled: true' },
  )
}
