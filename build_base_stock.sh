#!/usr/bin/env bash
# The original invocation, over doit: builds (or reuses) the stock image and tags it REPO:TAG.
#
#   ./build_base_stock.sh PLATFORM REPO TAG [BASE]
#   ./build_base_stock.sh amd64 elementaryrobotics/atom build-base-experimental debian:buster-slim
#
# BASE may be left out: then what [base] in stages.toml says. STAGEGRAPH_REGISTRY=HOST pushes the result, too.
set -euo pipefail
if [[ $# -lt 3 || $# -gt 4 || $1 == -* ]]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 64
fi
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ./run doit repo="$2" tag="$3" ${4:+base="$4"} "stock:$1"
