"""What the order benches count, and the table that they print."""

import msgspec


class Tally(msgspec.Struct, kw_only=True):
    """The figures of one kind of visit."""

    visits: int = 0
    pairs: int = 0  # both halves are at Meta
    order_violations: int = 0  # a server event before its browser twin
    lost: int = 0  # no server event
    counted_otherwise: int = 0  # sent twice, or not counted once under some dedup profile

    @property
    def faults(self) -> int:
        return self.order_violations + self.lost + self.counted_otherwise


def table(tallies: dict[str, Tally]) -> str:
    heads = ("kind of visit", "visits", "pairs", "order violations", "lost", "not counted once")
    rows = [(kind, msgspec.structs.astuple(tally)) for kind, tally in sorted(tallies.items())]
    rows.append(("all", tuple(map(sum, zip(*(numbers for _, numbers in rows), strict=True)))))
    lines = [f"{heads[0]:<26}" + "".join(f"{head:>18}" for head in heads[1:])]
    lines += [f"{kind:<26}" + "".join(f"{number:>18}" for number in numbers) for kind, numbers in rows]
    return "\n".join(lines)
