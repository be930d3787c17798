"""stagegraph: a declarative build graph with caching for families of Docker images.

Data flows one way: ``stages.toml`` -> ``project`` -> ``graph`` -> ``keys`` -> ``execution`` -> ``build``, ``store``.
A project's ``dodo.py`` needs ``from stagegraph.tasks import *`` and nothing else. ``docs/design.md`` has the map.
"""

__version__ = "0.1.0"
