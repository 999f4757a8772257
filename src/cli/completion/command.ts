/** `larder completion`: prints a script that teaches a shell what can be typed behind `larder`. */
import { type Command, EXIT_DONE, EXIT_USAGE } from '../larder.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

export function completionCommand(commands: () => Readonly<Record<string, Command>>): Command {
  return {
    summary: 'print a script that lets a shell complete the commands, flags and files of larder',
    flags: {},
    operands: SHELLS.join('|'),
    examples: [
      ['larder completion bash > /etc/bash_completion.d/larder', 'for all users of bash'],
      ['larder completion zsh > /usr/share/zsh/vendor-completions/_larder', 'for all users of zsh'],
      ['larder completion fish > ~/.config/fish/completions/larder.fish', 'for fish'],
    ],
    async run(_flags, io, [name, ...others]) {
      const shell = SHELLS.find(each => each === name)
      if (shell === undefined || others.length > 0) {
        io.stderr(`larder: completion needs the name of a shell: ${SHELLS.join(', ')}`)
        return EXIT_USAGE
      }
      const [{ completedCommands }, scripts] = await Promise.all([import('./words.ts'), import('./scripts.ts')])
      const script = scripts[shell](await completedCommands(commands()))
      for (const line of script.trimEnd().split('\n')) io.stdout(line)
      return EXIT_DONE
    },
  }
}
