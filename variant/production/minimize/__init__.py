"""Copy the part of a root file system that named programs and Python packages need at run time.

``rootfs`` reads paths and follows links inside the root. ``elf`` reads one ELF file. ``loader`` finds a
library as the dynamic loader finds it. ``closure`` collects the files to keep, each with the files that it
needs. ``python`` selects packages with the packages that they import. ``dpkg`` tells which Debian packages
are kept. ``output`` writes the result.

The modules never run a file of the root. So the root can be of any processor architecture.
"""
