"""The one public import. A project's ``dodo.py`` holds ``from stagegraph.tasks import *``, and nothing else.

The tasks live in ``stagegraph.cli.tasks``; this module only gives them a name that stays.
"""

from .cli.tasks import *  # noqa: F403
