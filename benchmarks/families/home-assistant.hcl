# The same declarations for docker buildx bake. A program has to set VERSION from git, as the family's CI does.

variable "VERSION" {}

group "default" {
  targets = ["base", "base-debian", "base-ubuntu", "base-python"]
}
target "_all" {
  platforms = ["linux/amd64", "linux/arm64"]
}
function "tags" {
  params = [repo, tag, latest]
  result = concat(
    ["ghcr.io/home-assistant/${repo}:${tag}", "ghcr.io/home-assistant/${repo}:${tag}-${VERSION}"],
    tag == latest ? ["ghcr.io/home-assistant/${repo}:latest"] : [],
  )
}

target "base" {
  inherits = ["_all"]
  name     = "base-${replace(v, ".", "-")}"
  matrix   = { v = ["3.22", "3.23", "3.24"] }
  context  = "alpine"
  args     = { BUILD_FROM = "alpine:${v}" }
  labels   = { "io.hass.base.image" = "alpine:${v}" }
  tags     = tags("base", v, "3.24")
}
target "base-debian" {
  inherits = ["_all"]
  name     = "base-debian-${v}"
  matrix   = { v = ["bookworm", "trixie"] }
  context  = "debian"
  args     = { BUILD_FROM = "debian:${v}-slim" }
  labels   = { "io.hass.base.image" = "debian:${v}-slim" }
  tags     = tags("base-debian", v, "trixie")
}
target "base-ubuntu" {
  inherits = ["_all"]
  name     = "base-ubuntu-${replace(v, ".", "-")}"
  matrix   = { v = ["22.04", "24.04", "26.04"] }
  context  = "ubuntu"
  args     = { BUILD_FROM = "ubuntu:${v}" }
  labels   = { "io.hass.base.image" = "ubuntu:${v}" }
  tags     = tags("base-ubuntu", v, "26.04")
}
target "base-python" {
  inherits = ["_all"]
  name     = "base-python-${replace(python, ".", "-")}-alpine${replace(v, ".", "-")}"
  matrix   = { python = ["3.12", "3.13", "3.14"], v = ["3.22", "3.23", "3.24"] }
  context  = "python/${python}"
  contexts = { "ghcr.io/home-assistant/base:${v}" = "target:base-${replace(v, ".", "-")}" }
  args     = { BUILD_FROM = "ghcr.io/home-assistant/base:${v}" }
  labels   = { "io.hass.base.image" = "ghcr.io/home-assistant/base:${v}" }
  tags     = tags("base-python", "${python}-alpine${v}", "3.14-alpine3.24")
}
