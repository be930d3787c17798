"""``doit trust``: whom the project trusts; a new key; signatures for images that somebody else has built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ProjectError, TrustError, nearest
from ...output import say
from ..goals import resolve_goals
from ..help import Example
from .base import Command, path_option

if TYPE_CHECKING:
    from ...execution.workspace import Workspace
    from ..app import App

_WORDS = ("init", "adopt")


@dataclass(frozen=True)
class Options:
    key: str = path_option("the file for the new private key")


class Trust(Command[Options]):
    options_type = Options
    section = "maintain"
    completes = _WORDS
    doc_purpose = "show whom stages.toml trusts, make a key, sign what was built again"
    doc_usage = "[init [NAME] | adopt GOAL ...]"
    doc_description = (
        "Without a word: the level of [trust], its keys, and which private keys this machine has.\n\n"
        "init: makes a key pair. The private key goes to a file outside the project that only you can read; "
        "it is never printed. Prints what to put into stages.toml. NAME is the name of the key there, by "
        "default that of this user.\n\n"
        "adopt: signs images in cache/ that somebody else has built. Builds each node and its ancestors "
        "again, without the builder's cache, unless they are trusted. Signs a node if it has the same digest "
        "and everything below it is trusted. The exit status is 1 if a node that you name is not signed."
    )
    examples = (
        Example("trust", "whom the project trusts"),
        Example("trust init ci", "a key for CI"),
        Example("trust adopt {goal}", "build an image again, and sign it if it is the same", "trust"),
    )

    def answer(self, app: App, words: list[str], options: Options) -> int:
        word, rest = (words[0], words[1:]) if words else ("", [])
        if word == "adopt":
            return _adopt(app.workspace, rest)
        if word and word != "init":
            raise ProjectError("command line", f"doit trust: no word {word!r}", nearest(word, _WORDS))
        if len(rest) > 1:
            raise ProjectError("command line", "doit trust init takes one name", "doit trust init ci")
        if word == "init":
            return _init(app.workspace, rest[0] if rest else "", options.key)
        return _show(app.workspace)


def _show(workspace: Workspace) -> int:
    trust = workspace.project.trust
    say(f"level: {trust.level}" + (f" ({trust.declared_at})" if trust.declared_at else ""))
    if trust.level == "none":
        return 0
    for name, key in trust.keys.items():
        here = ", its private key is here" if name in workspace.signing.listed_signers else ""
        say(f"key {name}: {', '.join(key.stages)}{here}\n  {key.public}")
    needed = [f"{pattern} {number}" for pattern, number in trust.thresholds.items()]
    say(f"signatures needed: {'; '.join([str(trust.threshold), *needed])}")
    return 0


def _init(workspace: Workspace, name: str, path: str) -> int:
    from ...project import schema
    from ...trust import ed25519, keyring

    name = name or _user()
    trust = workspace.project.trust
    if not schema.NAME.fullmatch(name):
        raise ProjectError("command line", f"{name!r} is not a name", "use lower-case letters and digits")
    if name in trust.keys:
        what = f"{name} is in [trust.keys] already ({trust.keys[name].declared_at})"
        raise ProjectError("command line", what, "choose another name")
    raw = ed25519.generate()
    public = ed25519.KeySigner(raw).public
    file = Path(path) if path else keyring.path_of(public, os.environ)
    if os.path.lexists(file):
        raise TrustError(str(file), "is there already", "name another file: --key PATH")
    keyring.store(file, raw)
    say(f"private key: {file.absolute()} (only you can read it)")
    say(f"in CI: put the whole file into a secret named {keyring.VARIABLE}\n\nfor stages.toml:\n")
    if not trust.declared_at:
        say('[trust]\nlevel = "warn"  # "required" when all that you use is signed\n')
    say(f'[trust.keys.{name}]\npublic = "{public}"')
    if path:
        place = keyring.path_of(public, os.environ)
        say(f"\na run looks for the private key in {place}, and in {keyring.VARIABLE}")
    return 0


def _user() -> str:
    """Return the name of this user as a name of ``[trust.keys]``."""
    import getpass
    import re

    try:
        return re.sub(r"[^a-z0-9]+", "-", getpass.getuser().lower()).strip("-") or "me"
    except (KeyError, OSError):  # a user without a name
        return "me"


def _adopt(workspace: Workspace, words: list[str]) -> int:
    from ...audit.adoption import Adoption
    from ...audit.verify import Rebuilder
    from .verify import render_text

    if not words:
        raise ProjectError("command line", "doit trust adopt needs a node", "see doit list --all")
    if workspace.project.trust.level == "none":
        raise TrustError("stages.toml", "has no [trust], so nobody signs", "doit trust init makes a key")
    goals = resolve_goals(workspace.graph, words)
    parts = workspace.graph, workspace.layout, workspace.builder_into, workspace.report
    signed = set()
    try:
        for finding in Adoption(Rebuilder(*parts), workspace.signing).adopt(goals.nodes):
            workspace.report.close()
            say(render_text(finding), flush=True)
            if finding.result in ("good", "same"):
                signed.add(finding.node)
    finally:
        workspace.report.close()
    return goals.status or int(not signed.issuperset(goals.nodes))
