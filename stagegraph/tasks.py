"""The one public import: a project's ``dodo.py`` holds ``from stagegraph.tasks import *``.

The tasks live in ``stagegraph.cli.tasks``. Importing this module reads no project.
"""

from .cli.tasks import DOIT_CONFIG, task_images, task_stages

__all__ = ["DOIT_CONFIG", "task_images", "task_stages"]
