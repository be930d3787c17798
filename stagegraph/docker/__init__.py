"""All that talks to Docker: the engine, containers, registry look-ups by buildx, progress."""
