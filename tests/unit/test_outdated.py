"""What apt says of newer packages, read."""

from __future__ import annotations

import pytest

from stagegraph.commands.outdated import Package, packages

pytestmark = pytest.mark.unit

LISTING = """Listing...
bash/stable 5.2.37-3 amd64 [upgradable from: 5.2.37-2+b5]
zlib1g/stable-security,stable 1:1.3.2-1 amd64 [upgradable from: 1:1.3.1-1]
tzdata/stable-updates 2026a-1 all [upgradable from: 2025b-1]

"""


def test_security_comes_first() -> None:
    assert packages(LISTING) == [
        Package("zlib1g", "1:1.3.1-1", "1:1.3.2-1", security=True),
        Package("bash", "5.2.37-2+b5", "5.2.37-3", security=False),
        Package("tzdata", "2025b-1", "2026a-1", security=False),
    ]


def test_nothing() -> None:
    assert packages("Listing...\n") == []
