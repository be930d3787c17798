"""``stages.toml`` and the command line -> a checked ``Project``. Runs no process and opens no socket."""
