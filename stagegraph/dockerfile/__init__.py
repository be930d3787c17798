"""The text of a Dockerfile -> its build stages, what they copy, and what they are based on. Pure."""
