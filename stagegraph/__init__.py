"""stagegraph: a declarative build graph with caching for families of Docker images.

Data flows one way: ``stages.toml`` -> model -> key -> plan -> build -> store -> report.
A project's ``dodo.py`` needs ``from stagegraph.tasks import *`` and nothing else.
"""

__version__ = "0.1.0"
