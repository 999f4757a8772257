/**
 * The little of `onoff` that the driver uses. Written here because the package is optional: it is not
 * installed where its native part cannot be built, and the types must hold there as well.
 */
declare module 'onoff' {
  export type Bit = 0 | 1

  export class Gpio {
    constructor(gpio: number, direction: 'in' | 'high' | 'low', edge: 'none' | 'both', options: { activeLow: boolean })
    read(): Promise<Bit>
    write(value: Bit): Promise<void>
    watch(callback: (error: Error | null | undefined, value: Bit) => void): void
    setDirection(direction: 'in' | 'high' | 'low'): void
    setEdge(edge: 'none' | 'both'): void
    unexport(): void
  }
}
