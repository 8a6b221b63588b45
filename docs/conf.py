"""Configuration of the documentation."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dataval

project = "dataval"
author = copyright = "the dataval authors"
version = release = dataval.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "tutorials"]
html_theme = "furo"
html_title = "dataval"
html_static_path = ["_static"]
mathjax_path = "mathjax/tex-svg.js"  # MathJax 3.2.2 in one file, which needs no fonts: pages work from disk
default_role = "py:obj"  # a word in single backticks is a link to what it names

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say what the arguments are
autodoc_default_options = {  # what pydantic and scikit-learn add of their own
    "exclude-members": "model_config, model_post_init, get_metadata_routing, set_fit_request, set_score_request"
}
autosummary_generate = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "matplotlib_animations": False,
}


def escape_names(app, what, name, obj, options, lines):
    """Keep the underscore at the end of an attribute's name, which reStructuredText takes for a link."""
    lines[:] = [re.sub(r"^:(ivar|vartype) (\w+)_:", r":\1 \2\\_:", line) for line in lines]


def setup(app):
    """Come after napoleon, which has the priority 500."""
    app.connect("autodoc-process-docstring", escape_names, priority=900)


suppress_warnings = ["config.cache"]
