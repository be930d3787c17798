"""``doit dumpdb``: doit's own, which fails where there is no file to read."""

from __future__ import annotations

import dbm
import sys
from typing import Any

from doit.cmd_dumpdb import DumpDB as DoitDumpDB

from .errors import ErrorMessages


class DumpDB(ErrorMessages, DoitDumpDB):  # type: ignore[misc]
    name = "dumpdb"

    def execute(self, params: Any, args: Any) -> Any:
        try:
            return super().execute(params, args)
        except dbm.error:
            print("nothing is kept: what was made is known by the records in cache/", file=sys.stderr)
            return 1
