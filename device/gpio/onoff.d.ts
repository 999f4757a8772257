/**
 * The little of `onoff` that the driver uses. Written here because the package is optional: it is not
 * installed where its native part cannot be built, and the types must hold there as well.
 */
declare module 'onoff' {
  export type Bit = 0 | 1

  export class Gpio {
    constructor(gpio: number, direction: 'in', edge: 'both', options: { activeLow: boolean })
    read(): Promise<Bit>
    readSync(): Bit
    watch(callback: (error: Error | null | undefined, value: Bit) => void): void
    setDirection(direction: 'in'): void
    setEdge(edge: 'both'): void
    unexport(): void
  }
}
