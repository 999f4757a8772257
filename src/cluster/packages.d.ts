/** Packages of aedes that bring no types, or types that say less than we use. What the contract's methods are is in `contract.ts`. */
declare module 'aedes-persistence-redis' {
  const create: (options: object) => unknown
  export default create
}

declare module 'mqemitter-redis' {
  const create: (options: object) => unknown
  export default create
}
