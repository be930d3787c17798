"""A project and its lock file -> nodes with parents and keys."""
