"""Settings of the documentation site: python -m sphinx -M html docs/site build -W."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

project = "Lineage"
author = "the authors of Lineage"
extensions = ["myst_parser", "sphinx_design", "lineage_site.extension"]
exclude_patterns = ["lineage_site", "play"]
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_url_schemes = {"http": None, "https": None, "mailto": None, "lineage": None}
myst_heading_anchors = 3
smartquotes = False  # two hyphens begin a flag
html_theme = "furo"
html_title = "Lineage"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["lineage.css"]
html_show_search_summary = False  # it would fetch pages, which a browser forbids for files
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
templates_path = ["templates"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
html_theme_options = {
  "light_css_variables": {"color-brand-primary": "#0b6e4f", "color-brand-content": "#0b6e4f"},
  "dark_css_variables": {"color-brand-primary": "#4cc79e", "color-brand-content": "#4cc79e"},
}
