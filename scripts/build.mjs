/**
 * Builds what runs: `dist/larder.js` (the command), which loads `dist/program.js`, and `dist/index.js` (the package's entry).
 * The latter two share chunks, so that what is loaded lazily (pins, serial ports) stays out of the start. Everything pure
 * is bundled, because one file opens faster from an SD card than two thousand; what has a native part is not.
 *
 *   node scripts/build.mjs              the two entries, and the web page
 *   node scripts/build.mjs --types      and the type declarations in dist/types/
 *   node scripts/build.mjs --contract   only the contract suite: test/contract/*.contract.ts into dist/test/
 *   node scripts/build.mjs --packages   prints the folders in node_modules that the build needs when it runs
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { buildPage } from './build-page.mjs'
import { commonjs } from './commonjs.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** LevelDB itself. The forty files of JavaScript around it are bundled. */
const BINDING = 'classic-level/binding.js'

/** Packages that are loaded from node_modules: they bring compiled code, or are looked for and may be absent. */
const EXTERNAL = [
  BINDING,
  'serialport',
  'onoff',
  'epoll',
  'aedes-persistence-redis',
  'mqemitter-redis',
  'ioredis',
  '@node-rs/argon2',
  'bufferutil',
  'utf-8-validate',
]

/**
 * What packages load and Larder never comes to, by the package: aedes' own sessions, emitter and store, in whose places
 * ours stand; pino's threads, files and masks, because a log line is handed to our own `write`.
 */
const UNUSED = {
  aedes: ['./lib/client.js', 'aedes-persistence', 'mqemitter'],
  pino: ['./transport', './lib/transport', 'sonic-boom', '@pinojs/redact'],
}

/** Characters. A stack trace names lines, so that they must not be a whole file. */
const LINE_LIMIT = 160

/** Whoever comes to it all the same is told. */
const LEFT_OUT = `module.exports = function () { throw new Error('this part of a package is left out of the build: scripts/build.mjs') }`

/** Where a package's import leads to. */
const imports = {
  name: 'imports',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path, importer }) => {
      const user = packageOf(importer)
      if (user === 'classic-level' && path === './binding') return { path: BINDING, external: true }
      return UNUSED[user]?.includes(path) ? { path: `${user} ${path}`, namespace: 'left-out' } : undefined
    })
    onLoad({ filter: /./, namespace: 'left-out' }, () => ({ contents: LEFT_OUT }))
  },
}

/** What every bundle has in common. Node 20 is the oldest that runs it. */
const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // esbuild takes properties of Unicode for newer than Node 20 and would make such expressions when a module is loaded, those
  // that nobody uses as well: their tables in V8 take 0.8 MB.
  supported: { 'regexp-unicode-property-escapes': true },
  // The paths of packages stand in the bundle: those of this checkout, wherever a link in it leads.
  preserveSymlinks: true,
  sourcemap: true,
  logLevel: 'warning',
}

/** What the files of the program have in common. */
const program = {
  ...common,
  // The text of the program stays in memory, and is read through at each start. Names stay: they stand in stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: LINE_LIMIT,
}

/** esbuild cuts only ES modules into chunks. They become CommonJS, whose compiled code Node 20 lets a program keep. */
async function buildProgram() {
  const before = entries('dist').filter(name => /\.js(\.map)?$/.test(name))
  const { metafile, outputFiles } = await build({
    ...program,
    metafile: true,
    write: false,
    entryPoints: { program: 'src/cli/main.ts', index: 'src/index.ts' },
    outdir: 'dist',
    splitting: true,
    external: EXTERNAL,
    // The package is Node's own streams once more, for browsers and old versions.
    alias: { 'readable-stream': 'node:stream' },
    plugins: [imports],
  })
  rejectCircles(metafile.outputs)
  const hash = createHash('sha256')
  mkdirSync(join(root, 'dist'), { recursive: true })
  for (const { path, text } of outputFiles.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const written = path.endsWith('.js') ? commonjs(text) : text
    hash.update(written)
    writeFileSync(path, written)
  }
  writeFileSync(join(root, 'dist/package.json'), '{ "type": "commonjs" }\n')
  // Last, so that whoever looks whether all is built, or starts a gateway meanwhile, finds a whole program.
  await build({
    ...program,
    entryPoints: { larder: 'src/cli/entry.ts' },
    outdir: 'dist',
    format: 'cjs',
    define: {
      LARDER_BUILD: JSON.stringify(hash.digest('hex').slice(0, 16)),
      'import.meta.dirname': '__dirname',
      'import.meta.filename': '__filename',
    },
  })
  // Chunks have hashes in their names: those of earlier builds would pile up and be packed.
  const built = new Set(['larder.js', 'larder.js.map', ...outputFiles.map(({ path }) => basename(path))])
  for (const name of before) if (!built.has(name)) rmSync(join(root, 'dist', name), { force: true })
}

/** Of two files that need each other when they are loaded, one would find nothing in the other. */
function rejectCircles(outputs) {
  const visited = new Set()
  const visit = (path, users) => {
    if (users.includes(path)) throw new Error(`a circle: ${[...users, path].join(' imports ')}`)
    if (visited.has(path)) return
    visited.add(path)
    for (const { path: next, kind } of outputs[path].imports) {
      if (kind === 'import-statement' && next in outputs) visit(next, [...users, path])
    }
  }
  for (const path of Object.keys(outputs)) visit(path, [])
}

/** Node's test runner cannot read TypeScript yet; packages stay where they are, so that the suite tests the real ones. */
async function buildContract() {
  const suites = entries('test/contract').filter(name => name.endsWith('.contract.ts'))
  clear('dist/test', /\.mjs(\.map)?$/)
  await build({
    ...common,
    entryPoints: suites.map(name => join('test/contract', name)),
    outdir: 'dist/test',
    outExtension: { '.js': '.mjs' },
    packages: 'external',
  })
}

function buildTypes() {
  rmSync(join(root, 'dist/types'), { recursive: true, force: true })
  const tsc = join(root, 'node_modules/.bin/tsc')
  execFileSync(tsc, ['-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' })
}

/** The packages that are not bundled, with all that they depend on. What is optional and absent is left out. */
function runtimePackages() {
  const found = new Set()
  const visit = (name, user) => {
    // As Node looks for it: beside the user's own packages first, then further up.
    let above = user
    while (above !== '.' && !existsSync(join(root, above, 'node_modules', name))) above = dirname(above)
    const folder = join(above, 'node_modules', name)
    if (found.has(folder) || !existsSync(join(root, folder))) return
    found.add(folder)
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) visit(dependency, folder)
  }
  for (const name of EXTERNAL) visit(packageOf(`/node_modules/${name}`), '.')
  // A package inside another's folder is copied with it.
  return [...found].filter(folder => folder.lastIndexOf('node_modules') === 0).sort()
}

/** The package that a file belongs to. */
function packageOf(path) {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
}

function entries(folder) {
  try {
    return readdirSync(join(root, folder))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

function clear(folder, pattern) {
  for (const name of entries(folder).filter(name => pattern.test(name))) rmSync(join(root, folder, name))
}

const mode = process.argv[2]
try {
  if (mode === '--packages') process.stdout.write(`${runtimePackages().join('\n')}\n`)
  else if (mode === '--contract') await buildContract()
  else {
    await buildPage()
    await buildProgram()
  }
  if (mode === '--types') buildTypes()
} catch (error) {
  // esbuild and tsc have printed their own faults.
  if (!('errors' in error || 'status' in error)) throw error
  process.exitCode = 1
}
