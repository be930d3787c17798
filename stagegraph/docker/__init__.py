"""Everything that talks to Docker: the engine, its containers, and buildx with its builders and progress."""
