"""The operating system: processes, git, files, threads; and text for people."""
