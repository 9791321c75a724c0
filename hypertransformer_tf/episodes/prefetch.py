"""Makes task batches on a background thread while the accelerator is busy."""

import collections
import threading
import time
from typing import Callable, Generic, Iterator, Optional, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """The values make(first), ..., make(first + count - 1), in order, made ahead of their use.

        with Prefetcher(lambda step: sampler.task_batch(step * 8, 8), 0, steps) as batches:
            for batch in batches:
                ...

    An exception in `make` is raised where the value is asked for, after the values before it.
    Leaving the `with` block ends the thread, once the value being made is finished.

    Args:
      make: called on one background thread, with one number at a time.
      first: the first number.
      count: how many values, at least 0.
      depth: how many finished values wait at most, at least 1.

    Attributes:
      waited_seconds: how long the consumer has waited for values so far.
    """

    def __init__(self, make: Callable[[int], T], first: int, count: int, depth: int = 4):
        if count < 0 or depth < 1:
            raise ValueError(f"count = {count} must be at least 0, depth = {depth} at least 1")
        self.waited_seconds = 0.0
        self._make = make
        self._numbers = range(first, first + count)
        self._depth = depth
        self._ready: collections.deque[T] = collections.deque()
        self._error: Optional[BaseException] = None
        self._finished = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._produce, name="prefetcher", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Prefetcher[T]":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        start = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._finished or self._closed)
            self.waited_seconds += time.perf_counter() - start
            if self._ready:
                value = self._ready.popleft()
                self._changed.notify_all()
                return value
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Drops the values nobody has asked for and ends the thread; may be called again."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._error = None
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _produce(self) -> None:
        error = None
        try:
            for number in self._numbers:
                value = self._make(number)
                if not self._put(value):
                    break
        except BaseException as raised:  # it belongs to the consumer, whatever it is
            error = raised
        with self._changed:
            self._error = None if self._closed else error
            self._finished = True
            self._changed.notify_all()

    def _put(self, value: T) -> bool:
        """Waits for room; False when the consumer wants no more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
            if self._closed:
                return False
            self._ready.append(value)
            self._changed.notify_all()
            return True
