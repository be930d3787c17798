"""The error that the user sees."""


class MinimizeError(Exception):
    """The request cannot be met; the text names the file or the setting."""
