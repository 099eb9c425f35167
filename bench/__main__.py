"""`make bench`: every measured claim in one table, each figure a ratio to another of the same run.

`python -m bench.ingest`, and so on, are the parts by themselves. `bench.order` counts faults, in a table of its own.
"""

import sys
from itertools import chain

from bench import attack, backlog, capacity, delivery, ingest, order, tripwire
from bench.table import print_table

PARTS = (ingest, delivery, capacity, attack, backlog, tripwire)

if __name__ == "__main__":
    told = print_table(chain.from_iterable(part.measured([]) for part in PARTS))
    print()
    sys.exit(order.main() or backlog.verdict(told))
