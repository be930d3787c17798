"""stagegraph: a declarative build graph with caching for families of Docker images.

Data flows one way: ``project`` (stages.toml), ``graph``, ``keys``, ``execution``, ``build`` and ``store``.
``docs/design.md`` has the map. A project's ``dodo.py`` needs only ``from stagegraph.tasks import *``.
"""

__version__ = "0.1.0"
