"""`make bench`: every measured claim, one after the other, each figure a ratio to another of the same run."""

import sys

from bench import backlog, order, speed, tripwire

if __name__ == "__main__":
    speed.main([])
    tripwire.main()
    worst = backlog.main()
    sys.exit(order.main() or worst)
