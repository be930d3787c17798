"""Read what the dynamic loader reads of an ELF file.

The format: System V Application Binary Interface, chapters 4 (Object Files) and 5 (Program Loading and
Dynamic Linking).
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment, DynamicTag
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

# The first bytes of an ELF file: e_ident, EI_MAG0 to EI_MAG3.
MAGIC = b"\x7fELF"


@dataclass(frozen=True)
class ElfObject:
    """A program or a library."""

    machine: str  # e_machine, for example EM_X86_64
    interpreter: str | None  # PT_INTERP: the path of the dynamic loader, in programs only
    needed: tuple[str, ...]  # DT_NEEDED: names or paths of libraries
    search_folders: tuple[str, ...]  # folders in which the loader looks first, perhaps with $ORIGIN


@functools.cache  # a common library is read once, not once for each of its users
def read_elf(path: Path) -> ElfObject | None:
    """Return the ELF object in a file of this machine, or None if the file has none.

    A broken ELF file counts as none: nobody can run a core dump or a fragment.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return None
        try:
            return _parse(ELFFile(file))
        except ELFError:
            return None


def _parse(elf: ELFFile) -> ElfObject:
    """Return the object, read by its segments, as the loader reads it: sections may be stripped.

    DT_RPATH counts only where there is no DT_RUNPATH (System V ABI, chapter 5, Shared Object Dependencies).
    """
    interpreter, needed, runpath, rpath = None, list[str](), "", ""
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            for tag in segment.iter_tags():
                if tag.entry.d_tag == "DT_NEEDED":
                    needed.append(_text(tag))
                elif tag.entry.d_tag == "DT_RUNPATH":
                    runpath = _text(tag)
                elif tag.entry.d_tag == "DT_RPATH":
                    rpath = _text(tag)
    search = runpath or rpath
    folders = tuple(search.split(":")) if search else ()
    return ElfObject(elf["e_machine"], interpreter, tuple(needed), folders)


def _text(tag: DynamicTag) -> str:
    """Return the string of a tag. pyelftools keeps it in an attribute that is named after the tag."""
    return str(getattr(tag, str(tag.entry.d_tag).removeprefix("DT_").lower()))
