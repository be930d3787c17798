"""One run: decide for each node, then reuse, pull or build it, deliver images, and report."""
