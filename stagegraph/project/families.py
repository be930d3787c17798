"""Entries of ``stages.toml`` that stand for several stages or images -> one plain table for each.

``[stages."{distro}-core"]`` has a matrix; ``[stages."*"]`` has a pattern of folders as its path. Both become
tables as if somebody had written them out, so the readers of stages and images know nothing of families.
Pure: ``folders`` reads the folders. ``matrices`` and ``globs`` have the rules; a project without families
does not load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import schema
from .tables import TableReader

if TYPE_CHECKING:
    from .folders import Disk
    from .positions import SourceMap

_SECTIONS = ("stages", "images")


def expand(tables: dict[str, Any], lines: SourceMap, disk: Disk) -> tuple[dict[str, Any], SourceMap]:
    """Return tables without families, and their lines. Raises ``ProjectError`` for a family that is wrong."""
    sections = {section: tables[section] for section in _SECTIONS if isinstance(tables.get(section), dict)}
    if not any(schema.is_family(name, table) for of in sections.values() for name, table in of.items()):
        return tables, lines
    from .globs import Globs
    from .matrices import Matrices

    reader = TableReader(tables, lines)
    entries = {section: Matrices(reader, section).entries() for section in sections}
    globs = Globs(reader, disk)
    entries |= {section: globs.entries(section, entries[section]) for section in entries}
    plain = {section: {name: entry.table for name, entry in of.items()} for section, of in entries.items()}
    origins = {
        (section, name): entry.origins for section, of in entries.items() for name, entry in of.items()
    }
    return tables | plain, lines.with_origins(origins)
