"""Phrases of registries in messages of docker, buildx and skopeo: patterns to search for, ignoring case."""

from __future__ import annotations

#: HTTP 401: the registry wants a login, or the login is wrong. The words are those of registries
#: (distribution-spec, "Error Codes": UNAUTHORIZED) and of Docker's clients where no login is stored.
UNAUTHORIZED = r"unauthorized|authentication required|no basic auth"

#: The login does not open this repository, or there is none of this name: Docker Hub does not tell which.
DENIED = r"pull access denied|insufficient_scope"

#: Go, crypto/x509: the program does not know the authority that signed the registry's certificate. The second
#: is what macOS says.
UNKNOWN_AUTHORITY = r"x509: .*(signed by unknown authority|certificate is not trusted)"

#: What is wrong then.
NO_AUTHORITY = "this machine does not know the authority that signed the registry's certificate"
