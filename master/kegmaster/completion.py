"""Completion for bash and zsh, from the tables of verbs and flags.

    eval "$(master.py completion bash)"         (zsh: master.py completion zsh)

The scripts ask nobody but the shell; only names of apps come from `master.py completion names`, which reads the
configuration. Must not know what verbs do.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from .command import Command
from .exit_codes import Verb
from .flags import FLAGS, VERBS, Flag
from .loading import UnreadableError

SHELLS = ("bash", "zsh")
_FILES = {"FILE": "file", "DIR": "directory"}


def perform(command: Command) -> int:
    """Print the script of the shell named, or the names of apps; returns the exit status."""
    wanted = command.options.names
    if wanted == ["names"]:
        return _names(command)
    if len(wanted) > 1 or (wanted and wanted[0] not in SHELLS):
        return command.terminal.fail(
            f"expected {' or '.join(SHELLS)}, found {' '.join(wanted)!r}", Verb.USAGE
        )
    shell = wanted[0] if wanted else os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        return command.terminal.fail(f"which shell? name one: {' or '.join(SHELLS)}", Verb.USAGE)
    sys.stdout.write(bash(command.program) if shell == "bash" else zsh(command.program))
    return Verb.DONE


def _names(command: Command) -> int:
    """What the scripts ask for at each TAB: quick, and silent about mistakes."""
    try:
        config = command.source.parse()
    except UnreadableError:
        return Verb.NOT_CONFIGURED
    for app in (*config.apps, *config.unsound):
        print(app.name)
    return Verb.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One flag word behind a verb: `values` if only these may follow; `takes`: what else does, empty for nothing."""

    word: str
    help: str
    takes: str = ""
    values: tuple[str, ...] = ()


def choices(verb: str) -> Iterator[Choice]:
    """The flags that `verb` heeds; words only, so that --verbose comes once and -v not at all."""
    for flag in FLAGS:
        if flag.help and (not flag.verbs or verb in flag.verbs):
            yield Choice(
                word=next(word for word in flag.words if word.startswith("--")), help=_about(flag, verb),
                takes=_FILES.get(flag.metavar, flag.metavar.lower()), values=flag.choices,
            )  # fmt: skip


def _about(flag: Flag, verb: str) -> str:
    """The help of a flag, without the verbs it is about: only these get to see it."""
    about, colon, rest = flag.help.partition(": ")
    return rest if colon and verb in about.replace(",", " ").split() else flag.help


def bash(program: str) -> str:
    """A script for bash 4 or later, which needs no package bash-completion."""
    name = _identifier(program)
    cases = "\n".join(
        f"        {verb}) flags={shlex.quote(' '.join(_bash_word(choice) for choice in choices(verb)))} ;;"
        for verb in VERBS
    )
    values = "\n".join(
        f'        {flag.words[0]}) COMPREPLY=($(compgen -W {shlex.quote(" ".join(flag.choices))} -- "$cur")); return ;;'
        for flag in FLAGS
        if flag.choices
    )
    files = "|".join(flag.words[0] for flag in FLAGS if flag.metavar == "FILE")
    directories = "|".join(flag.words[0] for flag in FLAGS if flag.metavar == "DIR")
    return f"""\
# Completion of {program} for bash: eval "$({program} completion bash)"
_{name}_words() {{
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
}}
_{name}_apps() {{
    _{name}_words "$("${{COMP_WORDS[0]}}" completion names "${{config[@]}}" 2>/dev/null)"
}}
_{name}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb= flags= config=() word i
    COMPREPLY=()
    # bash has split --flag=value at the sign.
    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case $word in
        --) [[ $verb == install ]] && {{ compopt -o default; COMPREPLY=(); return; }} ;;
        --master_config|--config) [[ ${{COMP_WORDS[i+1]}} == = ]] && config=("$word=${{COMP_WORDS[i+2]}}") ||
            config=("$word=${{COMP_WORDS[i+1]}}") ;;
        -*|=) ;;
        *) [[ -z $verb && ${{COMP_WORDS[i-1]}} != = ]] && verb=$word ;;
        esac
    done
    case $prev in
{values}
        {files}) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        {directories}) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
    esac
    if [[ -z $verb ]]; then
        _{name}_words {shlex.quote(" ".join(VERBS))}
        return
    fi
    if [[ $cur == -* ]]; then
        case $verb in
{cases}
        esac
        _{name}_words "$flags"
        [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
        return
    fi
    case $verb in
        import) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")) ;;
        completion) _{name}_words {shlex.quote(" ".join(SHELLS))} ;;
        *) _{name}_apps ;;
    esac
}}
complete -F _{name} {shlex.quote(program)}
"""


def zsh(program: str) -> str:
    """A script for zsh 5 or later: sourced after compinit, or as a file _{program} in $fpath."""
    name = _identifier(program)
    verbs = "\n".join(f"    {_quoted(f'{verb}:{text}')}" for verb, text in VERBS.items())
    cases = "\n".join(
        f"    {verb})\n      flags=(\n"
        + "\n".join(f"        {_quoted(_zsh_flag(choice))}" for choice in choices(verb))
        + f"\n      )\n      rest={_quoted(_zsh_rest(verb, name))} ;;"
        for verb in VERBS
    )
    return f"""\
#compdef {program}
# Completion of {program} for zsh: source <({program} completion zsh), after compinit
_{name}_apps() {{
  local -a apps config
  config=(${{(M)words:#--(master_|)config=*}})
  apps=(${{(f)"$(_call_program apps ${{words[1]}} completion names $config 2>/dev/null)"}})
  compadd -a apps
}}
_{name}() {{
  local context state line verb rest
  local -a verbs flags
  typeset -A opt_args
  verbs=(
{verbs}
  )
  verb=${{words[2,CURRENT-1][(r)[^-]*]}}
  if [[ -z $verb ]]; then
    _describe -t verbs verb verbs
    return
  fi
  if [[ $verb == install && -n ${{words[(r)--]}} && ${{words[(i)--]}} -lt CURRENT ]]; then
    _files
    return
  fi
  case $verb in
{cases}
  esac
  _arguments $flags "1: :" "*: :$rest"
}}
if [[ $funcstack[1] == {shlex.quote(f"_{program}")} ]]; then
  _{name} "$@"
else
  compdef _{name} {shlex.quote(program)}
fi
"""


def _bash_word(choice: Choice) -> str:
    return choice.word + ("=" if choice.takes else "")


def _zsh_flag(choice: Choice) -> str:
    about = choice.help.replace("[", "(").replace("]", ")").replace(":", r"\:")
    if not choice.takes:
        return f"{choice.word}[{about}]"
    what = {"file": "_files", "directory": "_files -/"}.get(choice.takes, " ")
    values = f"({' '.join(choice.values)})" if choice.values else what
    return f"{choice.word}=[{about}]:{choice.takes}:{values}"


def _zsh_rest(verb: str, name: str) -> str:
    return {"import": "_files", "completion": f"({' '.join(SHELLS)})"}.get(verb, f"_{name}_apps")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"


def _identifier(program: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in program)
