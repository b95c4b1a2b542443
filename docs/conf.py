"""Settings of the documentation: Sphinx with the theme that scikit-image uses."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent
# tutorials write files: they run in a copy that begins empty each time
TUTORIALS = DOCS / "_build" / "tutorials"
shutil.rmtree(TUTORIALS, ignore_errors=True)
shutil.copytree(DOCS / "tutorials", TUTORIALS)
# pages of tutorials that were renamed since the last build
for page in (DOCS / "auto_tutorials").glob("plot_*.rst"):
    if not (DOCS / "tutorials" / f"{page.stem}.py").exists():
        page.unlink()
sys.path.insert(0, str(DOCS / "_ext"))
os.environ.setdefault("MPLBACKEND", "Agg")

from saved_pictures import (  # noqa: E402 - after the path
    SavedPictures,
    empty_folder,
    number_of,
)

import astrocast  # noqa: E402

project = "astrocast"
author = "The astrocast developers"
copyright = "The astrocast developers, BSD-3-Clause"
release = version = astrocast.__version__

extensions = [
    "generated_pages",  # parameters, event columns and commands, from the code
    "notebook_pages",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = [
    "_build",
    "figures/*.py",
    "tutorials/*",
    "notebooks/*",
    "_ext",
    "_templates",
]
default_role = "code"
nitpicky = False
suppress_warnings = ["config.cache"]  # functions in the gallery's settings

# docstrings
autosummary_generate = True
templates_path = ["_templates"]  # the page of a class has its methods
autodoc_typehints = "none"  # the docstrings give types in words
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

# pages in Markdown
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# tutorials: each script is run while the pages are built


class TutorialOrder:
    """Sort the tutorials by their number, 10 after 9."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> int:
        return number_of(name)

    def __repr__(self) -> str:
        return "TutorialOrder()"


sphinx_gallery_conf = {
    "examples_dirs": ["_build/tutorials"],
    "gallery_dirs": ["auto_tutorials"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": TutorialOrder,
    "image_scrapers": (SavedPictures(),),
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 10**9,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "plot_gallery": os.environ.get("ASTROCAST_DOCS_GALLERY", "1") == "1",
    "reset_modules": ("matplotlib", empty_folder),
    "copyfile_regex": r".*\.none",
}

# pages open from the file system, without a network
html_theme = "pydata_sphinx_theme"
html_title = f"astrocast {release}"
html_static_path = ["_static"]
html_css_files = ["astrocast.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
# pages without others below them need no list of those
html_sidebars = {name: [] for name in ("index", "start", "troubleshooting")}
html_context = {"default_mode": "auto"}
mathjax_path = "no-formulas-in-these-pages.js"  # numpydoc asks for one
