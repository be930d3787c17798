"""Build contexts: a stage's folder -> the files that its Dockerfile reads -> the tar for the builder."""
