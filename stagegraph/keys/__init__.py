"""Everything that determines a node, its digest, and the difference between two of them. Pure."""
