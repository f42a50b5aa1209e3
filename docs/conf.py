"""The documentation site: `make docs` builds it into build/docs.

Every page of this folder is on the site.  Those that index.md does not name in a table of contents
are added to its last one, so that a new page needs no entry.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_site"), str(HERE.parent)]

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

from testbed import __version__

lexers["mermaid"] = TextLexer()  # diagrams are drawn by forges; here their text is shown

project = "testbed"
author = "testbed's authors"
version = release = __version__
extensions = ["myst_parser", "outside", "reference", "toctree"]
exclude_patterns = ["examples"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"testbed {version}"
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"
nitpicky = True
