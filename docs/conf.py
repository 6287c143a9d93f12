"""The documentation, built strictly: `sphinx-build -W --keep-going -b html docs docs/_build/html`.

Nothing is fetched while building or while reading: no network, no content delivery network.
"""

import sys
from pathlib import Path

import handgrad

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parent.parent)]  # docs.published

project = "handgrad"
author = "the handgrad contributors"
project_copyright = "the handgrad contributors"
version = release = handgrad.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "house_docstrings",
    "from_the_code",
    "derivation_pages",
]
exclude_patterns = ["_build", "_extensions"]
highlight_language = "text"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = {"version": handgrad.__version__}
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries = False

mathjax_path = "mathjax/tex-svg-full.js"  # ships with the docs (Apache 2.0): formulas need no network

html_theme = "furo"
html_title = f"handgrad {version}"
html_static_path = ["_static"]
html_css_files = ["handgrad.css"]
html_copy_source = False
html_show_sphinx = False
