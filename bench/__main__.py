"""`make bench`: every measured claim, one after the other."""

import sys

from bench import order, tripwire

if __name__ == "__main__":
    tripwire.main()
    sys.exit(order.main())
