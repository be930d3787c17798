"""Settings of Sphinx for this site: ``./run sphinx-build -W docs build/docs``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "stagegraph"
author = "the authors of stagegraph"
extensions = ["myst_parser", "derived"]
exclude_patterns = ["_static"]
myst_heading_anchors = 4
nitpicky = True
smartquotes = False  # "--json" must stay as it is
highlight_language = "none"
html_theme = "furo"
html_title = "stagegraph"
html_static_path = ["_static"]
html_show_copyright = False
html_show_sphinx = False
