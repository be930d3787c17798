"""Read-only questions about images: do they match, how large are they, which packages are old."""
