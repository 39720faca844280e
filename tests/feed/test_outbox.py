"""What waits for a client: the newest frame of each topic, and every order update in order."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from algohost.web import feed_outbox
from algohost.web.feed_outbox import Outbox

TOPICS = range(6)
places = st.sampled_from(TOPICS)


@dataclass(eq=False)
class Topic:
    """A topic whose frame tells which one it is and how new."""

    place: int
    version: int = 0

    @property
    def frame(self) -> bytes:
        """``T3:17``, and enough more for a few of them to fill a write."""
        return f"T{self.place}:{self.version}".encode().ljust(40)


class Client(RuleBasedStateMachine):
    """A client that reads now and then, beside a model that remembers everything."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: Outbox[Topic] = Outbox()
        self.topics = [Topic(place) for place in TOPICS]
        self.followed: set[int] = set()
        self.waiting: set[int] = set()
        self.heard: dict[int, int] = {}
        self.told: list[bytes] = []
        self.orders_heard: list[bytes] = []

    @rule(place=places)
    def tick(self, place: int) -> None:
        """A topic has a newer frame; the client is told of it if it follows."""
        topic = self.topics[place]
        topic.version += 1
        self.followed.add(place)
        self.waiting.add(place)
        self.outbox.note(topic)

    @rule(place=places)
    def unsubscribe(self, place: int) -> None:
        """The client no longer wants a topic."""
        self.followed.discard(place)
        self.waiting.discard(place)
        self.heard.pop(place, None)
        self.outbox.forget(self.topics[place])

    @rule()
    def order(self) -> None:
        """An order changed."""
        frame = f"O{len(self.told)}".encode()
        assert self.outbox.add_order(frame)
        self.told.append(frame)

    @rule(most_bytes=st.integers(min_value=1, max_value=300))
    def read(self, most_bytes: int) -> None:
        """The client takes some of what waits."""
        had = len(self.outbox)
        taken = self.outbox.take(most_bytes)
        assert bool(taken) == bool(had)
        assert sum(map(len, taken[:-1])) < most_bytes
        for frame in taken:
            self._hear(frame)

    def _hear(self, frame: bytes) -> None:
        if frame.startswith(b"O"):
            self.orders_heard.append(frame)
            return
        place, version = map(int, frame.decode()[1:].split(":"))
        assert place in self.waiting, "nothing is told twice, nor after it was unsubscribed"
        assert version == self.topics[place].version, "the newest frame, not one in between"
        self.waiting.discard(place)
        self.heard[place] = version

    @invariant()
    def what_waits_is_one_of_each_topic_and_all_orders(self) -> None:
        """However many ticks there were."""
        orders = len(self.told) - len(self.orders_heard)
        assert len(self.outbox) == len(self.waiting) + orders
        assert self.outbox.room_for_orders == feed_outbox.MOST_UNSENT_ORDERS - orders

    @invariant()
    def orders_are_heard_in_order_and_none_is_missing(self) -> None:
        """What was heard is how what was told begins."""
        assert self.orders_heard == self.told[: len(self.orders_heard)]

    @precondition(lambda self: self.outbox)
    @rule()
    def read_everything(self) -> None:
        """A client that reads long enough knows the newest of all it follows, and every order."""
        for _ in range(len(self.outbox)):
            for frame in self.outbox.take(1):
                self._hear(frame)
        assert len(self.outbox) == 0
        assert self.heard == {place: self.topics[place].version for place in self.followed}
        assert self.orders_heard == self.told


TestClient = Client.TestCase


def test_a_topic_whose_news_waited_longest_comes_first_however_often_others_tick() -> None:
    """Or a client of many would never hear of some while others tick all the time."""
    outbox: Outbox[Topic] = Outbox()
    first, busy = Topic(0), Topic(1)
    outbox.note(first)
    for _ in range(3):
        outbox.note(busy)
        outbox.note(first)
    assert outbox.take(1) == [first.frame]
    assert outbox.take(1) == [busy.frame]
    assert outbox.take(1) == []


def test_more_order_updates_than_may_wait_are_refused_and_not_lost_silently() -> None:
    """Those that were taken stay, in their order."""
    outbox: Outbox[Topic] = Outbox()
    frames = [str(number).encode() for number in range(feed_outbox.MOST_UNSENT_ORDERS)]
    assert [outbox.add_order(frame) for frame in frames] == [True] * len(frames)
    assert not outbox.add_order(b"one more")
    assert outbox.take(1 << 20) == frames
    assert outbox.add_order(b"one more")
