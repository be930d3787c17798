"""Build arguments (ARG): which ones a Dockerfile declares, and which values the build is sent.

Pure. Rules are BuildKit's (https://docs.docker.com/reference/dockerfile/#arg). A value that only the build
knows is unknown here, never guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..oci.platform import build_args
from .triggers import trigger_of
from .variables import EXCLUDED_FROM_KEY, LATER_ARGS, Scope, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..oci.platform import OciPlatform
    from .expansion import Expander
    from .instructions import Instruction

_ARG_TRIGGER = re.compile(r"\s*ONBUILD\s+ARG\s", re.IGNORECASE)


def declared_args(instructions: Iterable[Instruction]) -> set[str] | None:
    """Return the names that ARG declares, here or in a trigger; None if one contains a variable."""
    own = [trigger_of(i) if _ARG_TRIGGER.match(i.logical_line) else i for i in instructions]
    names = {word.partition("=")[0] for i in own if i.cmd == "ARG" for word in i.value}
    return None if any(set(name) & set("$\\\"'") for name in names) else names


class Arguments:
    """The arguments of one Dockerfile, declared in the order in which BuildKit reads them.

    ``given`` are the values that the project has, by name. ``sent`` are those of them that the Dockerfile
    declares, and those of BUILDPLATFORM and the like that it uses. ``globals`` are the variables before the
    first FROM.
    """

    def __init__(
        self, given: Mapping[str, str], docker: OciPlatform, build_platform: OciPlatform, expander: Expander
    ) -> None:
        self._given, self._expander = given, expander
        self._of_builder = build_args("BUILD", build_platform)
        automatic = {**build_args("TARGET", docker), **self._of_builder}
        self.globals = Scope(automatic, set(LATER_ARGS), sealed=True)
        self.sent: dict[str, str] = {}
        self._global_defaults: set[str] = set()
        self._in_stages: set[str] = set()

    def declare_global(self, arg: Instruction) -> None:
        """Read an ARG before the first FROM. Raises ``DockerfileError``."""
        scope = self.globals
        for word in arg.value:
            written, has_default, default = word.partition("=")
            name = self._name(written, scope, arg)
            self.send_builder_args(variables(default))
            if not self._set_given(name, scope):
                if has_default:
                    scope.set(name, self._expander.expand(default, scope, arg))
                elif name in scope.values and not self._is_builder_arg(name):
                    # what BuildKit then takes of a value that was there before depends on its version
                    scope.set(name, None)
            if name != written:  # BuildKit from 0.14 on does not expand names
                scope.set(name, None)
            if has_default:
                self._global_defaults.add(name)

    def declare_in_stage(self, arg: Instruction, scope: Scope) -> None:
        """Read an ARG of a build stage, which has the variables ``scope``. Raises ``DockerfileError``."""
        own = {word.partition("=")[0] for word in arg.value}
        for word in arg.value:
            written, has_default, default = word.partition("=")
            name = self._name(written, scope, arg)
            self._in_stages |= {name, written}
            if not self._set_given(name, scope):
                if has_default:
                    # whether one word of an ARG sees another's value depends on the version of BuildKit
                    sees_other = own.intersection(variables(default))
                    scope.set(name, None if sees_other else self._expander.expand(default, scope, arg))
                else:
                    self._inherit_global(name, scope)
            if name != written:  # BuildKit from 0.14 on does not expand names
                scope.set(name, None)

    def send_builder_args(self, names: Iterable[str]) -> None:
        """Send BUILDPLATFORM and the like, among ``names``, with the values that the key holds.

        Then the result does not depend on the builder.
        """
        for name in names:
            if self._is_builder_arg(name):
                self.sent[name] = self._of_builder[name]

    def check_defaults(self, instructions: Iterable[Instruction]) -> None:
        """Raise ``DockerfileError`` for an ARG of a stage whose default a sent builder argument overrides."""
        sent = (self._of_builder.keys() & self.sent.keys()) - self._given.keys()
        for arg in (i for i in instructions if i.cmd == "ARG"):
            names = {word.partition("=")[0] for word in arg.value if "=" in word}
            if both := names & sent:
                what = f"ARG {min(both)} has a default here, while another place uses BuildKit's own value"
                raise arg.error(what, "rename this argument")

    def in_stages(self, head: Sequence[Instruction]) -> set[str]:
        """Return the arguments that build stages declare, and those that their global defaults use.

        ``head`` are the instructions before the first FROM.
        """
        used = set(self._in_stages)
        for name, _, default in reversed(_words(head)):
            if name in used:
                used.update(variables(default))
        return used

    def from_only(self, head: Sequence[Instruction]) -> frozenset[str]:
        """Return the arguments that only FROM can see.

        BuildKit uses an ARG before the first FROM for names and platforms of FROM, and for an ARG of the same
        name in a stage (``metaArgs``, later ``globalArgs``, of frontend/dockerfile/dockerfile2llb). The
        BUILDKIT_ arguments are for BuildKit itself.
        """
        names = {name for name, _, _ in _words(head)} | self.sent.keys()
        return frozenset(name for name in names - self.in_stages(head) if not name.startswith("BUILDKIT_"))

    def _name(self, written: str, scope: Scope, arg: Instruction) -> str:
        name = self._expander.expand(written, scope, arg)
        if name is None:
            what = f"ARG {written}: only the build knows this name, so no key can hold it"
            raise arg.error(what, "write the name without variables")
        return name

    def _set_given(self, name: str, scope: Scope) -> bool:
        """Set an argument that has a value outside the Dockerfile. Return False if it has none."""
        if name in EXCLUDED_FROM_KEY:
            scope.set(name, None)
        elif name in self._given:
            self.sent[name] = self._given[name]
            scope.set(name, self._given[name])
        else:
            return False
        return True

    def _inherit_global(self, name: str, scope: Scope) -> None:
        """Give an ARG without a default its global value; without one, it keeps the value it has."""
        self.send_builder_args([name])
        if name in self.globals.unknown or name in self.globals.values:
            scope.set(name, self.globals.values.get(name))

    def _is_builder_arg(self, name: str) -> bool:
        """Return True for BUILDPLATFORM and the like, unless the Dockerfile gives it a global default."""
        return name in self._of_builder and name not in self._global_defaults


def _words(head: Sequence[Instruction]) -> list[tuple[str, str, str]]:
    """Names and defaults of the ARGs before the first FROM."""
    return [word.partition("=") for arg in head for word in arg.value]
