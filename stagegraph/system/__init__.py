"""The operating system: processes, files, threads, and text for people."""
