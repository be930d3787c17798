"""What the layers of an image hold: files, Debian packages, Python packages."""
