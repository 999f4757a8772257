/**
 * What esbuild has cut, as CommonJS. Its own way of doing that puts a getter and an object between every two files, which
 * costs QoS 2 a seventh; here a file takes what it needs of another once, when it is loaded. So no file may change what it
 * exports later (test/unit/architecture.test.ts), and files must not require each other in a circle (the build looks).
 */
import { init, parse } from 'es-module-lexer'

await init

/** Strict as modules are, and `import()` as Node has it for CommonJS: what is exported, and all of it as the default. */
const HEAD =
  '"use strict";const larderUrl=require("node:url").pathToFileURL(__filename).href,' +
  'larderNamespace=(name,all=require(name))=>name[0]==="."?all:Object.create(all,{default:{value:all}}),' +
  'larderImport=async name=>larderNamespace(name);'

/** The text of an ES module of esbuild's, as CommonJS, on the same lines. Throws when it is not as esbuild writes it. */
export function commonjs(text) {
  const [imports, exports] = parse(text)
  let done = ''
  let position = 0
  const replace = (start, end, by) => {
    done += text.slice(position, start) + by
    position = end
  }
  for (const { type, specifier, importStart, importEnd, dynamicStart } of imports) {
    if (type === 'static') replace(importStart, importEnd, required(text.slice(importStart, importEnd), specifier))
    else if (type === 'import-meta') replaceMeta(importStart, importEnd)
    // A file that is only known when it runs is none of ours.
    else if (specifier !== null) replace(importStart, dynamicStart, 'larderImport')
  }
  // One statement, at the end: the names, or what a package has for all of it.
  const [first] = exports
  if (first !== undefined) {
    const { exportStart, end, name, localStart } = first
    const last = text.indexOf('}', exportStart) + 1
    if (name === 'default' && localStart === -1) replace(exportStart, end, 'module.exports.default=')
    else replace(exportStart, last, exported(text.slice(exportStart, last)))
  }
  return HEAD + done + text.slice(position)

  function replaceMeta(start, end) {
    const property = /^\.\w+/.exec(text.slice(end))?.[0] ?? ''
    const by = { '.url': 'larderUrl', '.dirname': '__dirname', '.filename': '__filename' }[property]
    if (by === undefined) throw new Error(`import.meta${property} has nothing that stands for it in CommonJS`)
    replace(start, end + property.length, by)
  }
}

function required(statement, name) {
  const from = JSON.stringify(name)
  const [, standard, all, names] =
    /^import\s*(?:([\w$]+)\s*,?)?\s*(?:\*\s*as\s*([\w$]+))?\s*(?:\{([^}]*)\})?\s*(?:from)?\s*["'][^"']*["']$/.exec(
      statement,
    ) ?? []
  if (standard === undefined && all === undefined && names === undefined) {
    if (/^import\s*["']/.test(statement)) return `require(${from})`
    throw new Error(`not an import as esbuild writes it: ${statement}`)
  }
  const lines = '\n'.repeat(statement.split('\n').length - 1)
  const parts = [
    standard && (name.startsWith('.') ? `{default:${standard}}=require(${from})` : `${standard}=require(${from})`),
    all && `${all}=larderNamespace(${from})`,
    names?.trim() && `{${pairs(names).map(([theirs, ours]) => `${theirs}:${ours}`)}}=require(${from})`,
  ]
  return `const ${parts.filter(Boolean).join(',')}${lines}`
}

function exported(statement) {
  if (!/^export\s*\{/.test(statement)) throw new Error(`not an export as esbuild writes it: ${statement}`)
  const lines = '\n'.repeat(statement.split('\n').length - 1)
  const given = pairs(statement.slice('export{'.length, -1)).map(([ours, theirs]) => `${theirs}:${ours}`)
  // Named one by one, so that Node.js finds the names when an ES module imports the package.
  return `module.exports={${given}}${lines}`
}

/** `a as b,c` */
function pairs(names) {
  return names.split(',').map(each => {
    const [first, last = first] = each.trim().split(/\s+as\s+/)
    return [first, last]
  })
}
