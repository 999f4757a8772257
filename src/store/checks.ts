/** Whether a record makes sense: its decoders, which throw when it does not, where those of the store are content with less. */
import { indexOfKey, sessionOfKey } from './keys.ts'
import { type Body, decodeBody, decodeReference, type Reference } from './records.ts'

/** What `decode` makes of the value; undefined when it is not there or makes no sense. */
export function tried<T>(value: Buffer | undefined, decode: (value: Buffer) => T): T | undefined {
  if (value === undefined) return undefined
  try {
    return decode(value)
  } catch {
    return undefined
  }
}

/** True when the message's record names the place: else it is another message, whose number was given out twice. */
export function knows({ places }: Body, key: Buffer): boolean {
  const [session, index] = [sessionOfKey(key), indexOfKey(key)]
  return places.some(place => place.session === session && place.index === index)
}

export function checkedReference(value: Buffer): Reference {
  const reference = decodeReference(value)
  if (reference.qos > 2) throw new RangeError('there is no QoS 3')
  return reference
}

export function checkedReceipt(value: Buffer, key: Buffer): Buffer {
  if (key.length < 4 || key[key.length - 3] !== 0) throw new RangeError('the key of a packet identifier makes no sense')
  if (value.length > 0) decodeBody(value)
  return value
}

export function decodeSubscription(value: Buffer, key: Buffer): object {
  const options: unknown = JSON.parse(value.toString())
  if (key.length < 5 || typeof options !== 'object' || options === null || !('qos' in options)) {
    throw new RangeError('a subscription makes no sense')
  }
  return options
}

export function decodeWill(value: Buffer): object {
  const will: unknown = JSON.parse(value.toString())
  if (typeof will !== 'object' || will === null || !('topic' in will)) throw new RangeError('a will makes no sense')
  return will
}
