"""A stage's folder -> the files that its Dockerfile reaches -> the tar that the builder reads."""
