"""Keys: everything that determines a node, the hash over it, and the difference between two. Pure."""
