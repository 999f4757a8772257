import { defineConfig } from 'vitest/config'

const OUTSIDE = 'test/{system,interop,device,conformance}/**/*.test.ts'
/** They measure, or load the machine so that others would not have their share. */
const MEASURING = 'test/system/{bench*,bridge-network,soak,start-time,torture-plug}.test.ts'
/** Deadlines in milliseconds: real gateways, brokers and pseudo-terminals take their time, and so does what only computes, where others do too. */
const PATIENT = { testTimeout: 60_000, hookTimeout: 60_000 }

// `fast` runs in process and in parallel. `system` starts real gateways, brokers and pseudo-terminals; most of its time it
// waits for them, so two files run at a time, on any machine. `alone` is what must not be disturbed: one by one, afterwards.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/{unit,property}/**/*.test.ts'],
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'system',
          include: [OUTSIDE],
          exclude: [MEASURING],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'alone',
          include: [MEASURING],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          ...PATIENT,
        },
      },
    ],
  },
})
