/**
 * Scripts of three shells that complete the command line of larder. All that is known is in the script: a shell that had to
 * start Node for each Tab would keep a person on a Pi waiting.
 */
import type { CompletedCommand, CompletedFlag } from './words.ts'

type Commands = readonly CompletedCommand[]

const FIRST_FLAGS = ['--help', '--version']

/** The first words of all commands, and behind each that has several, the second. */
function firstWords(commands: Commands): Map<string, CompletedCommand[]> {
  const found = new Map<string, CompletedCommand[]>()
  for (const command of commands) {
    const [first = ''] = command.words
    found.set(first, [...(found.get(first) ?? []), command])
  }
  return found
}

const namesOf = (flags: readonly CompletedFlag[], value: CompletedFlag['value']) =>
  flags.filter(flag => flag.value === value).flatMap(flag => flag.names)

/** For bash 3.2 and later; bash-completion is not needed. */
export function bash(commands: Commands): string {
  const first = firstWords(commands)
  const seconds = [...first]
    .filter(([, [command]]) => (command?.words.length ?? 0) > 1)
    .map(([word, group]) => `      ${word}) words='${group.map(({ words }) => words[1]).join(' ')}' ;;`)
  const cases = commands.map(({ words, flags, takesFiles, operands }) => {
    const all = flags.flatMap(({ names }) => names).join(' ')
    const kinds = (['file', 'folder', 'text'] as const).map(kind => `${kind}='${namesOf(flags, kind).join(' ')}'`)
    const rest = takesFiles ? ' rest=file' : operands.length > 0 ? ` words='${operands.join(' ')}'` : ''
    return `    '${words.join(' ')}') flags='${all}' ${kinds.join(' ')}${rest} ;;`
  })
  return `# bash completion of larder; made by "larder completion bash"
_larder() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" flags='' file='' folder='' text='' rest='' words=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${[...first.keys(), ...FIRST_FLAGS].join(' ')}' -- "$cur"))
    return
  fi
  if ((COMP_CWORD == 2)); then
    case "$command" in
${seconds.join('\n')}
    esac
    if [[ -n $words ]]; then
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
      return
    fi
  fi
  case "$command" in
    ${[...first]
      .filter(([, [command]]) => (command?.words.length ?? 0) > 1)
      .map(([word]) => word)
      .join(' | ')}) command+=" \${COMP_WORDS[2]}" ;;
  esac
  case "$command" in
${cases.join('\n')}
    *) return ;;
  esac
  if [[ " $file " == *" $prev "* ]]; then
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [[ " $folder " == *" $prev "* ]]; then
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -d -- "$cur"))
  elif [[ " $text " == *" $prev "* ]]; then
    return
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ $rest == file ]]; then
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "\${words:-$flags}" -- "$cur"))
  fi
}
complete -F _larder larder
`
}

/** For zsh 5. */
export function zsh(commands: Commands): string {
  const described = (rows: readonly (readonly [string, string])[]) =>
    rows.map(([word, help]) => quoted(`${word}:${help}`)).join(' ')
  const first = [...firstWords(commands)]
  const rows = first.map(
    ([word, group]) => [word, group.length === 1 ? (group[0]?.summary ?? '') : `${group.length} commands`] as const,
  )
  const pairs = first.filter(([, [command]]) => (command?.words.length ?? 0) > 1)
  const seconds = pairs.map(
    ([word, group]) =>
      `      ${word}) _values=(${described(group.map(({ words, summary }) => [words[1] ?? '', summary]))}); _describe command _values; return ;;`,
  )
  const cases = commands.map(({ words, flags, takesFiles, operands }) => {
    const specs = flags.flatMap(({ names, value, help }) =>
      names.map(name => {
        const action =
          value === undefined ? '' : `:${value}:${value === 'file' ? '_files' : value === 'folder' ? '_files -/' : ' '}`
        return quoted(`*${name}[${help.replaceAll(/[[\]\\:]/g, ' ')}]${action}`)
      }),
    )
    const rest = takesFiles
      ? ["'*:file:_files'"]
      : operands.length > 0
        ? [quoted(`*:what:(${operands.join(' ')})`)]
        : []
    return `    ${quoted(words.join(' '))}) _arguments ${[...specs, ...rest].join(' ')} ;;`
  })
  return `#compdef larder
# zsh completion of larder; made by "larder completion zsh"
_larder() {
  local -a _values
  if ((CURRENT == 2)); then
    _values=(${described(rows)})
    _describe command _values
    return
  fi
  local command="$words[2]"
  if ((CURRENT == 3)); then
    case "$command" in
${seconds.join('\n')}
    esac
  fi
  case "$command" in
    ${pairs.map(([word]) => word).join('|')}) command+=" $words[3]"; words=("\${(@)words[2,-1]}"); ((CURRENT--)) ;;
  esac
  words=("\${(@)words[2,-1]}"); ((CURRENT--))
  case "$command" in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _larder ]]; then _larder "$@"; else compdef _larder larder; fi
`
}

/** For fish 3. */
export function fish(commands: Commands): string {
  const lines = ['# fish completion of larder; made by "larder completion fish"', 'complete -c larder -f']
  for (const [word, group] of firstWords(commands)) {
    const [only] = group
    const summary = group.length === 1 ? (only?.summary ?? '') : `${group.length} commands`
    lines.push(`complete -c larder -n __fish_use_subcommand -a ${word} -d ${fishQuoted(summary)}`)
    for (const { words, summary: what } of group) {
      if (words[1] === undefined) continue
      const seconds = group.map(each => each.words[1]).join(' ')
      const condition = `__fish_seen_subcommand_from ${word}; and not __fish_seen_subcommand_from ${seconds}`
      lines.push(`complete -c larder -n '${condition}' -a ${words[1]} -d ${fishQuoted(what)}`)
    }
  }
  for (const { words, flags, takesFiles, operands } of commands) {
    const condition = words.map(word => `__fish_seen_subcommand_from ${word}`).join('; and ')
    const start = `complete -c larder -n '${condition}'`
    for (const { names, value, help } of flags) {
      const options = names.map(name => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
      const kind =
        value === undefined
          ? ''
          : value === 'text'
            ? ' -x'
            : value === 'file'
              ? ' -r -F'
              : " -x -a '(__fish_complete_directories)'"
      lines.push(`${start} ${options.join(' ')}${kind} -d ${fishQuoted(help)}`)
    }
    if (takesFiles) lines.push(`${start} -F`)
    if (operands.length > 0) lines.push(`${start} -a '${operands.join(' ')}'`)
  }
  return `${lines.join('\n')}\n`
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const fishQuoted = (text: string) => `'${text.replaceAll(/['\\]/g, '\\$&')}'`
