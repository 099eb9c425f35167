"""Where the files that are not Python live: packed into the wheel, or in the checkout."""

from pathlib import Path
from typing import Literal

from relay.errors import RelayError


def find_assets(kind: Literal["static", "templates"]) -> Path:
    """The folder of `static/` or `templates/`: the wheel's own copy first, else the checkout's.

    A wheel carries the folders inside the package; an editable install and a checkout keep them beside it.
    """
    package = Path(__file__).parent
    for folder in (package / f"_{kind}", package.parent / kind):
        if folder.is_dir():
            return folder
    raise RelayError(
        f"No {kind} folder in or beside {package}. Install the package again, or run from a whole checkout."
    )
