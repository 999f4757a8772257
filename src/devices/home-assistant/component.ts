/**
 * One value as an entity of Home Assistant: which platform, where its messages are and how the value is taken out of one.
 * Pure. What a value is follows from the configuration and from what its source knows, never from the values that came: an
 * entity must not change its kind because of a reading.
 */
import type { FieldShape, Thing, Value, ValueDescription } from '../ports.ts'
import { convert, FieldShapes, fieldLevel, SINGLE } from '../shape.ts'
import { classFor, isBinary, isOnOff, type Platform, usualStateClass } from './classes.ts'
import { entityId, valueId } from './ids.ts'

/** What a device is good for besides its values. `press`: an input that tells only of one edge. `pulse`: an output that goes off by itself. */
export type Role = 'sensor' | 'input' | 'press' | 'output' | 'pulse'

/** Seconds after which a command that was not delivered is void: nobody wants the light that was meant for an hour ago. */
export const COMMAND_EXPIRY_S = 15

/** What a press of a button is called. */
export const PRESS = 'press'

/** As the documentation of each platform has it; absent where undefined. */
export interface Component {
  readonly platform: Platform
  readonly unique_id: string
  readonly default_entity_id: string
  /** Null takes the name of the device. */
  readonly name: string | null
  readonly [field: string]: unknown
}

/** A thing that is announced. */
export interface Subject {
  readonly thing: Thing
  readonly id: string
  readonly role: Role
  /** Of an output. */
  readonly commandTopic?: string | undefined
}

/** Texts for on and off, in the order in which they mean it. */
const PAIRS = [
  ['on', 'off'],
  ['true', 'false'],
  ['1', '0'],
] as const
/** What is taken for on where no `map` says. */
const ON_WORDS = ['on', 'true', '1', 'yes', 'open']

/** The entity of the value that is published as `name`; undefined when it is dropped. */
export function componentOf(subject: Subject, name: string, description: ValueDescription): Component | undefined {
  const field = fieldOf(subject.thing, name)
  if (field === undefined) return undefined
  const place = placeOf(subject.thing, name)
  if (name === SINGLE) {
    const single = pinOf(subject, place, description)
    if (single !== undefined) return single
  }
  return sensorOf(subject, name, place, field.shape, description)
}

/** What the source calls the value that is published as `name`, and its shape; undefined when it is dropped. */
function fieldOf(thing: Thing, name: string): { source: string; shape: FieldShape } | undefined {
  if (name === SINGLE) return { source: SINGLE, shape: thing.shape }
  const source = sourcesIn(thing).find(each => nameOf(thing, each) === name) ?? name
  const shape = new FieldShapes(thing).of(source)
  return shape === 'drop' ? undefined : { source, shape }
}

/** What a value is published as that its source calls `source`; undefined when it is dropped. */
function nameOf(thing: Thing, source: string): string | undefined {
  if (source === SINGLE) return SINGLE
  const field = new FieldShapes(thing).of(source)
  return field === 'drop' ? undefined : (field.name ?? source)
}

/** Names that a source is known to use. */
function sourcesIn({ fields = {} }: Thing): string[] {
  return Object.keys(fields).filter(each => each !== '*')
}

/** Where a value is: its topic, and in Jinja how it is taken from a message and whether a message has it. */
interface Place {
  readonly topic: string
  /** Undefined: the message is the value. */
  readonly expression: string | undefined
  readonly condition?: string
}

function placeOf({ topic, publish, stamp }: Thing, name: string): Place {
  const whole = stamp === 'json' ? 'value_json["value"]' : undefined
  if (name === SINGLE) return { topic, expression: whole }
  if (publish === 'fields') return { topic: `${topic}/${fieldLevel(name)}`, expression: whole }
  const object = whole ?? 'value_json'
  const key = JSON.stringify(name)
  return { topic, expression: `${object}[${key}]`, condition: `${key} in ${object}` }
}

/** The template for `expression`; a message without the value leaves the entity as it is. */
function template({ condition }: Place, expression: string | undefined): string | undefined {
  if (expression === undefined) return undefined
  return condition === undefined ? `{{ ${expression} }}` : `{% if ${condition} %}{{ ${expression} }}{% endif %}`
}

/**
 * The name that a value is published as now, by what was announced of it; undefined when that is not known or it is dropped.
 * It may have another name than then: whose value it is, is in its identifier.
 */
export function recognise({ thing, id }: Subject, component: Component): string | undefined {
  const sources = [nameThen(thing, component) ?? SINGLE, ...sourcesIn(thing)]
  const source = sources.find(each => valueId(id, each) === component.unique_id)
  return source === undefined ? undefined : nameOf(thing, source)
}

/** The name in a template or topic as `placeOf` makes them. */
function nameThen({ topic }: Thing, { state_topic: at, value_template: how }: Component): string | undefined {
  const literal = typeof how === 'string' ? /^\{% if ("(?:[^"\\]|\\.)*") in /.exec(how)?.[1] : undefined
  if (literal !== undefined) return parsed(literal)
  return typeof at === 'string' && at.startsWith(`${topic}/`) ? at.slice(topic.length + 1) : undefined
}

/** Undefined for what is no JSON: anybody may have written there. */
function parsed(literal: string): string | undefined {
  try {
    return JSON.parse(literal)
  } catch {
    return undefined
  }
}

/** What every entity has. */
function entity({ thing, id }: Subject, platform: Platform, name: string) {
  const source = fieldOf(thing, name)?.source ?? name
  const unique = valueId(id, source)
  return {
    platform,
    unique_id: unique,
    default_entity_id: entityId(platform, [thing.room, thing.name, name], unique),
    name: name === SINGLE ? null : labelOf(name),
  }
}

/** `delivered_t1` is for programs, `Delivered t1` for people. */
function labelOf(name: string): string {
  const words = name.replaceAll('_', ' ').trim() || name
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** What an entity that shows a value has besides. */
function reading(thing: Thing, place: Place, expression = place.expression) {
  const { qos, retain, staleAfter } = thing
  return {
    state_topic: place.topic,
    value_template: template(place, expression),
    qos,
    // What is not retained is not renewed either, and may be silent for longer.
    expire_after: retain && staleAfter !== undefined ? Math.ceil(staleAfter / 1000) : undefined,
  }
}

/** The one value of a pin, which is what its role says. */
function pinOf(subject: Subject, place: Place, { deviceClass }: ValueDescription): Component | undefined {
  const { thing, role, commandTopic } = subject
  const orders = { command_topic: commandTopic, message_expiry_interval: COMMAND_EXPIRY_S, qos: 1, retain: false }
  const words = { on: textOf(convert('on', thing.shape), place), off: textOf(convert('off', thing.shape), place) }
  const platformOf = {
    sensor: undefined,
    input: 'binary_sensor',
    press: 'event',
    output: 'switch',
    pulse: 'button',
  } as const
  const platform = platformOf[role]
  if (platform === undefined) return undefined
  const about = { ...entity(subject, platform, SINGLE), device_class: classFor(platform, deviceClass) }
  const { expire_after, ...state } = reading(thing, place)
  switch (platform) {
    case 'binary_sensor':
      return { ...about, ...state, expire_after, payload_on: words.on, payload_off: words.off }
    case 'event':
      // A constant: whatever the message says, the button was pressed. Home Assistant leaves retained ones out.
      return { ...about, ...state, event_types: [PRESS], value_template: JSON.stringify({ event_type: PRESS }) }
    case 'switch': {
      const states = { state_on: words.on, state_off: words.off }
      return { ...about, ...state, ...orders, payload_on: 'on', payload_off: 'off', ...states }
    }
    case 'button':
      return { ...about, ...orders, payload_press: 'on' }
  }
}

function sensorOf(
  subject: Subject,
  name: string,
  place: Place,
  shape: FieldShape,
  { unit, deviceClass, stateClass }: ValueDescription,
): Component {
  const { thing } = subject
  const words = wordsOf(shape, deviceClass, place)
  const isQuantity = unit !== undefined || stateClass !== undefined || shape.scale !== 1 || shape.offset !== 0
  if (words !== undefined || isOnOff(deviceClass, isQuantity)) {
    const about = { ...entity(subject, 'binary_sensor', name), device_class: classFor('binary_sensor', deviceClass) }
    if (words !== undefined) return { ...about, ...reading(thing, place), payload_on: words.on, payload_off: words.off }
    const isOn = `(${place.expression ?? 'value'} | string | lower) in ${JSON.stringify(ON_WORDS)}`
    return { ...about, ...reading(thing, place, isOn), payload_on: 'True', payload_off: 'False' }
  }
  const about = { ...entity(subject, 'sensor', name), ...reading(thing, place) }
  const options = optionsOf(shape, place)
  if (options !== undefined) return { ...about, device_class: 'enum', options }
  const itsClass = classFor('sensor', deviceClass, unit)
  const behaviour = stateClass ?? (unit === undefined ? undefined : usualStateClass(itsClass))
  return {
    ...about,
    device_class: itsClass,
    unit_of_measurement: unit,
    state_class: behaviour,
    // Home Assistant takes what has decimals for a number, and would refuse a text.
    suggested_display_precision: unit === undefined && behaviour === undefined ? undefined : shape.round,
  }
}

/** The texts for on and off of a value that `map` makes one of two. */
function wordsOf({ map }: FieldShape, deviceClass: string | undefined, place: Place) {
  if (map === undefined) return undefined
  const keys = Object.keys(map).filter(key => key !== 'default')
  const pair = PAIRS.find(words => keys.length === 2 && words.every(word => keys.includes(word)))
  if (pair === undefined) return undefined
  const [on, off] = pair.map(word => textOf(map[word]!, place)) as [string, string]
  if (on === off || ('default' in map && ![on, off].includes(textOf(map.default!, place)))) return undefined
  const readsSo = PAIRS.some(([yes, no]) => yes === on.toLowerCase() && no === off.toLowerCase())
  return readsSo || isBinary(deviceClass) ? { on, off } : undefined
}

/** All texts that a value can be, where `map` names them all. */
function optionsOf({ map }: FieldShape, place: Place): string[] | undefined {
  if (map === undefined || !('default' in map)) return undefined
  const outcomes = Object.values(map)
  if (outcomes.every(outcome => typeof outcome === 'number')) return undefined
  return [...new Set(outcomes.map(outcome => textOf(outcome, place)))]
}

/** A value as Home Assistant sees it: what comes out of JSON is Python's. */
function textOf(value: Value, { expression }: Place): string {
  if (typeof value === 'boolean' && expression !== undefined) return value ? 'True' : 'False'
  return String(value)
}
