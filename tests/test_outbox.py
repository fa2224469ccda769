"""Tests of `improto.outbox`."""

from hypothesis import given
from hypothesis import strategies as st

from improto.messages import Delivery
from improto.outbox import Outbox

PUTS = st.lists(st.tuples(st.binary(max_size=5), st.sampled_from(Delivery)))


def filled(*puts: tuple[bytes, Delivery]) -> Outbox:
    """Make an outbox in which all of `puts` were put."""
    outbox = Outbox()
    for data, delivery in puts:
        outbox.put(data, delivery)
    return outbox


def test_begins_empty() -> None:
    """A new outbox holds nothing."""
    outbox = Outbox()
    assert (outbox.size, outbox.events, outbox.take()) == (0, 0, [])


def test_keeps_the_order() -> None:
    """Replies and events leave in the order in which they came (FLOW-1, FLOW-4)."""
    outbox = filled((b"a", Delivery.EVENT), (b"b", Delivery.REPLY), (b"c", Delivery.EVENT))
    assert outbox.take() == [b"a", b"b", b"c"]


def test_newest_snapshot_goes_to_the_end() -> None:
    """A new snapshot removes the waiting one and stands last, not in the old one's place (FLOW-2, FLOW-3)."""
    outbox = filled((b"old", Delivery.SNAPSHOT), (b"event", Delivery.EVENT), (b"new", Delivery.SNAPSHOT))
    assert outbox.take() == [b"event", b"new"]


def test_third_snapshot_replaces_the_second() -> None:
    """After one replacement the place of the waiting snapshot is still known (FLOW-2)."""
    outbox = filled(
        (b"e", Delivery.EVENT), (b"1", Delivery.SNAPSHOT), (b"2", Delivery.SNAPSHOT), (b"r", Delivery.REPLY),
        (b"3", Delivery.SNAPSHOT),
    )  # fmt: skip
    assert outbox.take() == [b"e", b"r", b"3"]


def test_reply_is_not_taken_for_a_snapshot() -> None:
    """The first roster, which is put as a reply, stays when a snapshot follows (FLOW-1)."""
    assert filled((b"first", Delivery.REPLY), (b"later", Delivery.SNAPSHOT)).take() == [b"first", b"later"]


def test_what_was_taken_is_not_replaced() -> None:
    """A snapshot that was taken out is not looked for when the next one comes."""
    outbox = filled((b"a", Delivery.SNAPSHOT))
    assert outbox.take() == [b"a"]
    outbox.put(b"event", Delivery.EVENT)
    outbox.put(b"b", Delivery.SNAPSHOT)
    assert outbox.take() == [b"event", b"b"]


def test_counts_events_apart() -> None:
    """Only the bytes of events count against the bound on events (FLOW-7)."""
    outbox = filled((b"12345", Delivery.REPLY), (b"123", Delivery.EVENT), (b"1", Delivery.SNAPSHOT))
    assert (outbox.size, outbox.events) == (9, 3)
    outbox.take()
    assert (outbox.size, outbox.events) == (0, 0)


@given(PUTS)
def test_size_is_what_waits(puts: list[tuple[bytes, Delivery]]) -> None:
    """Whatever is put, `size` and `events` are the bytes that wait, and at most one snapshot does (FLOW-2)."""
    outbox = filled(*puts)
    last = max((i for i, (_, delivery) in enumerate(puts) if delivery is Delivery.SNAPSHOT), default=-1)
    kept = [data for i, (data, delivery) in enumerate(puts) if delivery is not Delivery.SNAPSHOT or i == last]
    assert outbox.size == sum(map(len, kept))
    assert outbox.events == sum(len(data) for data, delivery in puts if delivery is Delivery.EVENT)
    assert outbox.take() == kept
