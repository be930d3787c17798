"""A manifest, an index or a configuration from a registry, whose fields are checked when they are read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import RegistryError
from ..oci.platform import OciPlatform, as_indexed
from ..output import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

_Kind = TypeVar("_Kind")


class ImageDocument:
    """A JSON object about an image. ``reference`` is the image, for error messages."""

    def __init__(self, reference: str, fields: Mapping[str, Any]) -> None:
        self.reference, self._fields = reference, fields

    @classmethod
    def parse(cls, reference: str, raw: bytes) -> ImageDocument:
        """Read a document. Raises ``RegistryError`` if it is not a JSON object."""
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise RegistryError(reference, "the registry's answer is not a manifest")
        return cls(reference, value)

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str, kind: type[_Kind], default: _Kind | None = None) -> _Kind:
        """A field; ``default`` if the field is missing or null, as in Go.

        Raises ``RegistryError`` for a value of another kind.
        """
        value = self._fields.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, kind):
            raise self._malformed(name, value)
        return value

    def child(self, name: str, default: Mapping[str, Any] | None = None) -> ImageDocument:
        """A field that is an object."""
        return ImageDocument(
            self.reference, self.get(name, dict, dict(default) if default is not None else None)
        )

    def items(self, name: str, kind: type[_Kind], default: list[_Kind] | None = None) -> list[_Kind]:
        """A field that is a list of one kind of value."""
        values = self.get(name, list, default)
        for value in values:
            if not isinstance(value, kind):
                raise self._malformed(f"an entry of {name}", value)
        return values

    def platform(self) -> OciPlatform:
        """The OCI platform that the fields ``os``, ``architecture`` and ``variant`` name: ``linux/arm64``.

        The only variant of arm64, v8, is left out.
        """
        return as_indexed(*(self.get(name, str, "") for name in ("os", "architecture", "variant")))

    def triggers(self) -> list[str]:
        """The triggers in a configuration, in the form of a registry or of the engine."""
        config = self.child("config" if "config" in self else "Config", {})
        return config.items("OnBuild", str, [])

    def _malformed(self, name: str, value: object) -> RegistryError:
        what = f"its manifest or configuration is malformed: {name} is {masked(json.dumps(value))[:80]}"
        return RegistryError(self.reference, what, "repair it in its registry, or use another image")
