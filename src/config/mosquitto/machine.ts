/** What translating a mosquitto.conf must know of the machine it runs on. */
import { hostname, networkInterfaces } from 'node:os'
import type { Machine } from './finish-listeners.ts'

/** This machine, as it is now. */
export function localMachine(): Machine {
  const interfaces = networkInterfaces()
  const all = Object.values(interfaces).flatMap(addresses => addresses ?? [])
  return {
    hostname: hostname(),
    hasIPv6: all.some(({ address }) => address === '::1'),
    // A link-local IPv6 address needs the interface named beside it.
    addressesOf: name =>
      interfaces[name]?.map(({ address, scopeid }) =>
        scopeid === undefined || scopeid === 0 ? address : `${address}%${name}`,
      ),
  }
}
