import { defineConfig } from 'vitest/config'

// Two projects: `fast` runs in process and in parallel; `system` starts real gateways, brokers and
// pseudo-terminals, so its files run one after the other and each test may take its time.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/{unit,property}/**/*.test.ts'],
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/{system,interop,device,conformance}/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
