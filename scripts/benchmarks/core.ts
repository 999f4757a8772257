/** The core that brokers have; generators have core 1. */
export const CORE = 0
