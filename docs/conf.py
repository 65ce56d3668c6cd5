"""The site of the docs: `make docs` builds it into docs/_build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

project = "histofactor"
author = "The histofactor founders"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "generate"]

root_doc = "index"
exclude_patterns = ["_build", "_site", "jupyter_execute", "**.ipynb_checkpoints"]
nb_execution_mode = "off"  # tests execute the tutorials
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures; that nothing on the web is asked for them is meant

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
copybutton_selector = "div:not(.no-copybutton) > div.highlight > pre"

highlight_language = "text"
html_theme = "furo"
html_static_path = ["_site/site.css"]
html_css_files = ["site.css"]
html_title = "histofactor"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
