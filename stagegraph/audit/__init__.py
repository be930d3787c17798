"""Read-only questions about images: are they intact, how large are they, which packages are outdated."""
