/**
 * The first file of the command. It loads the program, which the build has cut into files that require each other, with
 * what was kept of them since the last start.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { CodeCache, cacheFolder } from './code-cache.ts'
import type { main } from './main.ts'

/** The build's: a hash of all of the program's text. */
declare const LARDER_BUILD: string

/** What Node.js, too, lays around a CommonJS file. */
const HEAD = '(function(exports,require,module,__filename,__dirname){'
const TAIL = '\n})'

interface Module {
  exports: unknown
}
type Body = (exports: unknown, require: typeof load, module: Module, filename: string, dirname: string) => void

const code = new CodeCache(cacheFolder(process.env), LARDER_BUILD)
const modules = new Map<string, Module>()
const requireOther = createRequire(import.meta.filename)

/** A file of the program (`./name.js`), or whatever Node.js knows by that name. */
function load(specifier: string): unknown {
  if (!specifier.startsWith('./')) return requireOther(specifier)
  const known = modules.get(specifier)
  if (known !== undefined) return known.exports
  const module: Module = { exports: {} }
  modules.set(specifier, module)
  const filename = join(import.meta.dirname, specifier)
  const text = HEAD + readFileSync(filename, 'utf8') + TAIL
  const cachedData = code.get(specifier)
  const script = new Script(text, { filename, columnOffset: -HEAD.length, ...(cachedData && { cachedData }) })
  if (cachedData === undefined || script.cachedDataRejected) code.missed(specifier, script)
  const body = script.runInThisContext() as Body
  body(module.exports, load, module, filename, import.meta.dirname)
  return module.exports
}

const program = load('./program.js') as { main: typeof main }
void program.main({ keepCode: () => code.keep() })
