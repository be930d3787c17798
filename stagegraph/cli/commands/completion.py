"""``stagegraph completion``: the script by which a shell completes ``doit`` and ``stagegraph``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from ...errors import ProjectError, nearest
from ...output import say
from ..help import Example
from .base import Detached

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True)
class Options:
    """There are none."""


class Completion(Detached[Options]):
    options_type = Options
    section = "maintain"
    doc_purpose = "print the script by which bash, zsh or fish completes words"
    doc_usage = " | ".join(SHELLS)
    doc_description = (
        "The script is for doit and stagegraph. The Tab key then completes goals, commands, options, "
        "settings and their values. The script asks the stagegraph on PATH each time, so it fits every "
        "project.\n\n"
        'bash: add this line to ~/.bashrc: eval "$(stagegraph completion bash)"\n\n'
        'zsh: add this line to ~/.zshrc, below compinit: eval "$(stagegraph completion zsh)"\n\n'
        "fish: stagegraph completion fish >~/.config/fish/completions/stagegraph.fish, and the same for "
        "doit.fish."
    )
    completes = SHELLS
    examples = tuple(Example(f"completion {shell}", f"the script for {shell}") for shell in SHELLS)

    def answer(self, words: list[str], options: Options) -> int:  # noqa: ARG002
        if len(words) != 1 or words[0] not in SHELLS:
            what = f"no shell {' '.join(words)!r}" if words else "stagegraph completion needs a shell"
            hint = nearest(words[0], SHELLS) if words else ""
            call = f"stagegraph completion {' | '.join(SHELLS)}"
            raise ProjectError("command line", what, hint if hint.startswith("did") else call)
        say((files("stagegraph.cli") / "shells" / words[0]).read_text(encoding="utf-8"), end="")
        return 0
