"""Where the command line prints."""

import shutil

from rich.console import Console

# Tables need 100 columns; on a narrower screen lines wrap, which loses less than cut numbers.
console = Console(width=max(100, shutil.get_terminal_size(fallback=(100, 24)).columns))
screen = Console()
"""For displays that are drawn over themselves, which must know the true width."""
errors = Console(stderr=True)
