"""doit commands, one file a verb. doit finds them through the entry points in ``pyproject.toml``."""
