/** What Home Assistant takes as a device class, as far as we have to tell one kind from another. */

/** Of what is on or off. */
const BINARY = new Set([
  ...['battery', 'battery_charging', 'carbon_monoxide', 'cold', 'connectivity', 'door', 'garage_door', 'gas', 'heat'],
  ...['light', 'lock', 'moisture', 'motion', 'moving', 'occupancy', 'opening', 'plug', 'power', 'presence', 'problem'],
  ...['running', 'safety', 'smoke', 'sound', 'tamper', 'update', 'vibration', 'window'],
])
/** Those of them that are also a quantity. */
const ALSO_MEASURED = new Set(['battery', 'carbon_monoxide', 'gas', 'moisture', 'power'])
/** Of what has no unit. */
const WITHOUT_UNIT = new Set(['aqi', 'date', 'enum', 'monetary', 'ph', 'power_factor', 'timestamp'])
/** Of what a meter counts: their state class is never `measurement`. */
const METERED = new Set(['energy', 'gas', 'reactive_energy', 'volume', 'water'])
/** Of what `measurement` is wrong for, and nothing else can be guessed. */
const WITHOUT_STATE_CLASS = new Set(['date', 'enum', 'monetary', 'timestamp', 'wind_direction'])
const SWITCH = new Set(['outlet', 'switch'])
const BUTTON = new Set(['identify', 'restart', 'update'])
const EVENT = new Set(['button', 'doorbell', 'motion'])

export type Platform = 'sensor' | 'binary_sensor' | 'switch' | 'button' | 'event'

/** True for what is on or off by its class: `smoke` whatever else is known of it, `battery` when nothing says that it is a quantity. */
export function isOnOff(deviceClass: string | undefined, isQuantity: boolean): boolean {
  return isBinary(deviceClass) && !(isQuantity && ALSO_MEASURED.has(deviceClass ?? ''))
}

export function isBinary(deviceClass: string | undefined): boolean {
  return deviceClass !== undefined && BINARY.has(deviceClass)
}

/** The class if it is one of this platform: with a wrong one, Home Assistant would leave the entity out. */
export function classFor(platform: Platform, deviceClass: string | undefined, unit?: string): string | undefined {
  if (deviceClass === undefined) return undefined
  switch (platform) {
    case 'sensor':
      return unit !== undefined || WITHOUT_UNIT.has(deviceClass) ? deviceClass : undefined
    case 'binary_sensor':
      return BINARY.has(deviceClass) ? deviceClass : undefined
    case 'switch':
      return SWITCH.has(deviceClass) ? deviceClass : undefined
    case 'button':
      return BUTTON.has(deviceClass) ? deviceClass : undefined
    case 'event':
      return EVENT.has(deviceClass) ? deviceClass : undefined
  }
}

/** How a quantity with a unit behaves over time, where nobody says: Home Assistant keeps statistics only of what has one. */
export function usualStateClass(deviceClass: string | undefined): 'measurement' | 'total_increasing' | undefined {
  if (deviceClass === undefined) return 'measurement'
  if (METERED.has(deviceClass)) return 'total_increasing'
  return WITHOUT_STATE_CLASS.has(deviceClass) ? undefined : 'measurement'
}
