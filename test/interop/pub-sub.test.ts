/**
 * `larder pub` and `larder sub` beside Debian's `mosquitto_pub` and `mosquitto_sub`: the same script of command lines, each
 * pair of programs with a fresh gateway of its own, must give the same output, the same exit status and the same complaints.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Gateway, ROOT, startGateway } from '../support/gateway.ts'
import { findBinary, needs } from '../support/needs.ts'
import { PATIENCE, within } from '../support/wait.ts'

type Program = 'pub' | 'sub'

interface Line {
  program: Program
  args: string
  stdin?: string
}

interface Outcome {
  status: number | null
  /** A string of bytes. */
  stdout: string
  /** The first line. */
  stderr: string
}

const pub = (args: string, stdin?: string): Line => ({
  program: 'pub',
  args,
  ...(stdin === undefined ? {} : { stdin }),
})
const sub = (args: string): Line => ({ program: 'sub', args })

/** Words are split at blanks; `_` stands for a blank in a word. */
const SCRIPT: readonly Line[] = [
  // A session that is kept, what comes meanwhile, and taking it.
  sub('-t house/# -c -i keeper -q 1 -E -d'),
  pub('-t house/door -m open -q 1 -d -i X'),
  pub('-t house/door -m open -q 2 -d -i X'),
  pub('-t house/door -m shut -q 0 -d -i X -V 31'),
  pub('-t house/lines -l -q 1 -d -i X', 'one\ntwo\n\nfour'),
  pub('-t house/input -s -q 1', 'all of\nit\n'),
  pub('-t house/file -f PAYLOAD -q 2 -d -i X'),
  pub('-t house/thrice -m x --repeat 3 --repeat-delay 0.05 -q 1 -d -i X'),
  // All that waits, no less: Debian's program cuts the line when it leaves something, and may get the last ones again.
  sub('-t house/# -c -i keeper -q 1 -C 11 -v'),
  pub('-t house/one -m 1 -q 1'),
  pub('-t house/two -n -q 1'),
  sub('-t house/# -c -i keeper -q 1 -C 2 -v -N -d'),
  pub('-t house/skip -m skipped -q 1'),
  pub('-t house/file -f PAYLOAD -q 1'),
  sub(
    '-t house/# -c -i keeper -q 1 -C 1 -T house/skip -F %q|%r|%l|%t|%x|%X|%20x|%5p|%-12p|%05l|%-5l|%.3t|%-9.3t|%%|@@|\\t\\0\\e',
  ),
  // Retained messages and MQTT 5.
  pub(
    '-t kept/5 -r -q 1 -m {"a":[1,2.50,1e30,-0],"b":{},"2":"\\u00e9","1":null} -D publish content-type a/b -D publish user-property k v -D publish user-property k w -D publish response-topic r/t -D publish correlation-data cd -D publish payload-format-indicator 1',
  ),
  pub('-t kept/3 -r -m plain_"text" -d'),
  pub('-t kept/alias -m x -V 5 -D publish topic-alias 3 --repeat 2 -d -i X -q 1'),
  sub('-t kept/5 -V 5 -C 1 -F %j'),
  sub('-t kept/5 -V 5 -C 1 -F %j --pretty'),
  sub('-t kept/5 -V 5 -C 1 -q 2 -F %J'),
  sub('-t kept/5 -V mqttv5 -C 1 -F %J --pretty'),
  sub('-t kept/5 -V 5 -C 1 -F %A|%C|%D|%E|%F|%P|%R|%S|%5A|%05S|%-9C|%9C -D subscribe subscription-identifier 7'),
  sub('-t kept/3 -C 1 -F %J'),
  sub('-t kept/+ -R -W 1 -d -i Y -V 5'),
  sub('-L mqtt://127.0.0.1:PORT/kept/3 -C 1 -v -d -i Y'),
  pub('-t kept/3 -r -n -d -i X'),
  sub('-t kept/3 -W 1 -v'),
  // Refused, gone, not there.
  pub('-t a -m x -p CLOSED'),
  pub('-t a -m x -p CLOSED --quiet'),
  sub('-t a --unix /nowhere/larder.sock'),
  pub('-t a -m x -h no.such.host.invalid'),
  // Not understood.
  pub('-t a -m x --no-such-flag'),
  pub('-t a/+ -m x'),
  pub('-t a -m x -n'),
  pub('-t a -m x -D publish will-delay-interval 1'),
  pub('-t a -f /nowhere/payload'),
  pub('-t a -m'),
  sub('-t a/#/b'),
  sub('-t a -F %y'),
  sub('-t a -q 3'),
  sub('-t a -W'),
]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-pub-sub-'))
  await writeFile(join(folder, 'payload'), Buffer.from([0x01, 0x22, 0x5c, 0xff, 0x09, 0x0a]))
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs a command line to its end. */
async function run(command: string, args: readonly string[], stdin = ''): Promise<Outcome> {
  // A configuration file of its user's must not reach into it.
  const child = spawn(command, args, { env: { ...process.env, XDG_CONFIG_HOME: folder, HOME: folder } })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', chunk => out.push(chunk))
  child.stderr.on('data', chunk => err.push(chunk))
  child.stdin.on('error', () => {}) // it may end without having read it
  child.stdin.end(stdin)
  const what = `the end of ${command} ${args.join(' ')}`
  const status = await within(new Promise<number | null>(done => child.on('close', done)), {
    what,
    timeout: PATIENCE,
  }).finally(() => child.kill('SIGKILL'))
  const stdout = Buffer.concat(out).toString('latin1')
  const stderr = Buffer.concat(err).toString('latin1').split('\n')[0] ?? ''
  return { status, stdout, stderr }
}

/** Makes alike what differs by nature: times, identifiers that a server makes up. */
const alike = (text: string): string =>
  text.replace(/"[\d-]{10}T[\d:]{8}\.\d{6}Z/g, '"TIME').replace(/Client \S{8,} /g, 'Client MADE-UP ')

async function runScript(commandOf: (program: Program) => string[], gateway: Gateway): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const closed = `${await freePort()}`
  for (const { program, args, stdin } of SCRIPT) {
    const [command = '', ...first] = commandOf(program)
    const words = args.split(' ').map(word => word.replace('_', ' '))
    const places = words.map(word =>
      word.replace('PORT', `${gateway.port}`).replace('CLOSED', closed).replace('PAYLOAD', join(folder, 'payload')),
    )
    const outcome = await run(command, [...first, '-p', `${gateway.port}`, ...places], stdin)
    outcomes.push({ ...outcome, stdout: alike(outcome.stdout), stderr: alike(outcome.stderr) })
  }
  return outcomes
}

test.skipIf(!needs('mosquitto_sub') || !needs('mosquitto_pub'))(
  `a script of ${SCRIPT.length} command lines: same output, same exit status, same complaints`,
  { timeout: 120_000 },
  async () => {
    await using reference = await startGateway({ config: 'name: Test' })
    await using gateway = await startGateway({ config: 'name: Test' })
    const theirs = await runScript(program => [findBinary(`mosquitto_${program}`) ?? ''], reference)
    const ours = await runScript(program => [process.execPath, join(ROOT, 'dist/larder.js'), program], gateway)
    const pairs = SCRIPT.map(({ program, args }, i) => ({
      line: `${program} ${args}`,
      theirs: theirs[i],
      ours: ours[i],
    }))
    for (const { line, theirs, ours } of pairs) expect({ line, ...ours }).toEqual({ line, ...theirs })
    // The script did something: messages were printed, and some lines were refused.
    expect(theirs.filter(({ status, stdout }) => status === 0 && stdout !== '').length).toBeGreaterThan(15)
    expect(theirs.filter(({ status, stderr }) => status !== 0 && stderr !== '').length).toBeGreaterThan(8)
  },
)
