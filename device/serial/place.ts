/** Where a port is: at a path, or wherever the adapter is that says the right things of itself. */
import { identityOf } from './claims.ts'
import { describeUsb, findUsb, type PortRoots, type UsbMatch } from './usb.ts'

/** Exactly one of the two. */
export interface PortPlace {
  readonly path?: string | undefined
  readonly usb?: UsbMatch | undefined
}

interface Found {
  readonly path: string
  readonly identity: { readonly port: string; readonly node: string }
}

/** In words, for faults. */
export function describePlace({ path, usb }: PortPlace): string {
  return path ?? (usb === undefined ? 'no port' : `the adapter ${describeUsb(usb)}`)
}

/** The port, or why there is none, as a sentence. Never rejects. */
export async function locate({ path, usb }: PortPlace, roots: PortRoots): Promise<Found | { missing: string }> {
  if (usb === undefined) return at(path ?? '')
  const ports = await findUsb(usb, roots)
  const [port, ...others] = ports
  if (port === undefined) return { missing: `no adapter ${describeUsb(usb)} is plugged in` }
  if (others.length === 0) return at(port.path)
  const shown = ports.map(({ path, serial, interface: number }) => {
    const details = [serial ?? 'no serial number', ...(number === undefined ? [] : [`interface ${number}`])]
    return `${path} (${details.join(', ')})`
  })
  return {
    missing: `${ports.length} ports fit ${describeUsb(usb)}: ${shown.join(', ')}; say which with serial or interface, or by path`,
  }
}

async function at(path: string): Promise<Found | { missing: string }> {
  const identity = await identityOf(path)
  return identity === undefined ? { missing: `${path} is not there` } : { path, identity }
}
