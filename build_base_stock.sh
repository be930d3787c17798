#!/usr/bin/env bash
# Build the stock image, or reuse it, and tag it REPO:TAG. This is the original script's call; it runs doit.
#
#   ./build_base_stock.sh PLATFORM REPO TAG [BASE]
#   ./build_base_stock.sh amd64 elementaryrobotics/atom build-base-experimental debian:buster-slim
#
# Without BASE, [base] in stages.toml counts. With STAGEGRAPH_REGISTRY=HOST the result is also pushed.
set -euo pipefail
if [[ $# -lt 3 || $# -gt 4 || $1 == -* ]]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 64
fi
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ./run doit repo="$2" tag="$3" ${4:+base="$4"} "stock:$1"
