/**
 * Builds the web page into `dist/page/`: `index.html`, and beside it scripts, styles and pictures with a hash of their
 * content in their names, each with a `.gz` beside it. What a browser loads before a history is opened must stay under
 * 60 KB gzipped: a Pi Zero 2 W and a phone on bad Wi-Fi are to be quick. Above that the build fails.
 *
 *   node scripts/build-page.mjs
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'src/dashboard/page')
const target = join(root, 'dist/page')

/** Bytes, gzipped, of all that is loaded at once. */
const EAGER_LIMIT = 60_000
/** Browsers of 2022: an old tablet on the wall. */
const BROWSERS = ['chrome100', 'firefox100', 'safari15.4']

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir: target,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  target: BROWSERS,
  // As in build.mjs: hashes are made from paths as well.
  preserveSymlinks: true,
  logLevel: 'warning',
}

/** Throws with `eager` and `limit` when the page has grown too large; esbuild's own errors have been printed by it. */
export async function buildPage() {
  const files = new Map()
  const page = await bundle(files, {
    entryPoints: { page: join(source, 'main.tsx') },
    format: 'esm',
    splitting: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
  })
  const look = await bundle(files, { entryPoints: { look: join(source, 'look.ts') }, format: 'iife' })
  const style = await bundle(files, { entryPoints: { style: join(source, 'styles/all.css') } })
  const icon = hashed(files, 'icon.svg', readFileSync(join(source, 'icon.svg'), 'utf8').trim())
  const manifest = JSON.stringify(
    JSON.parse(fill(readFileSync(join(source, 'manifest.webmanifest'), 'utf8'), { icon })),
  )
  const names = {
    page: page[0],
    look: look[0],
    style: style[0],
    icon,
    manifest: hashed(files, 'larder.webmanifest', manifest),
  }
  files.set('index.html', Buffer.from(fill(readFileSync(join(source, 'index.html'), 'utf8'), names)))

  const packed = new Map([...files].map(([name, content]) => [name, gzipSync(content, { level: 9 })]))
  write(files, packed)

  const eager = ['index.html', ...page, ...look, ...style, icon, names.manifest]
  const size = eager.reduce((sum, name) => sum + packed.get(name).length, 0)
  const late = [...packed].reduce((sum, [, content]) => sum + content.length, 0) - size
  process.stdout.write(`page: ${kilobytes(size)} gzipped at once, ${kilobytes(late)} when a history is opened\n`)
  if (size > EAGER_LIMIT) {
    throw new Error(`the page is too large: ${size} bytes gzipped are loaded at once, ${EAGER_LIMIT} are allowed`)
  }
}

/** Bundles one entry into `files`. Gives the names that are loaded with it, the entry first. */
async function bundle(files, options) {
  const { outputFiles, metafile } = await build({ ...common, ...options })
  for (const { path, contents } of outputFiles) files.set(basename(path), Buffer.from(contents))
  const [entry] = Object.entries(metafile.outputs).find(
    ([, output]) => output.entryPoint !== undefined && isEntry(output, options),
  )
  const loaded = new Set()
  const visit = path => {
    if (loaded.has(path)) return
    loaded.add(path)
    for (const { path: next, kind } of metafile.outputs[path].imports) if (kind === 'import-statement') visit(next)
  }
  visit(entry)
  return [...loaded].map(path => basename(path))
}

/** A chunk that is imported lazily has an entry point too; the one that was asked for is meant. */
function isEntry(output, options) {
  return Object.values(options.entryPoints).some(path => resolve(root, output.entryPoint) === path)
}

function hashed(files, name, content) {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8)
  const [stem, ending] = name.split('.')
  const full = `${stem}-${hash}.${ending}`
  files.set(full, Buffer.from(content))
  return full
}

function fill(text, values) {
  return text.replace(/\{\{(\w+)\}\}/g, (_, key) => values[key])
}

/** New files first, then the page that names them, then the old ones go: a gateway that serves meanwhile has all. */
function write(files, packed) {
  mkdirSync(target, { recursive: true })
  const names = [...files.keys()].sort((a, b) => (a === 'index.html') - (b === 'index.html'))
  for (const name of names) {
    writeFileSync(join(target, name), files.get(name))
    writeFileSync(join(target, `${name}.gz`), packed.get(name))
  }
  for (const name of readdirSync(target)) {
    if (!files.has(name.replace(/\.gz$/, ''))) rmSync(join(target, name), { recursive: true })
  }
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} KB`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await buildPage()
  } catch (error) {
    if (!('errors' in error)) process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  }
}
