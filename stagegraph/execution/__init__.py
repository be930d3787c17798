"""One run: what each node needs, and doing it."""
