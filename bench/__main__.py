"""`make bench`: every measured claim, one after the other."""

import sys

from bench import order

if __name__ == "__main__":
    sys.exit(order.main())
