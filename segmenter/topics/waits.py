"""No call of the Kafka client waits without end.

kafka-python 3.0 does its network work in a thread of its own, and a caller waits for that thread without a limit: for
ever, if the thread has ended, or if the refresh of metadata that it waits for has. It is lost then: `ClientHangs`.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import structlog
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector

log = structlog.get_logger()

WAIT_SECONDS = 60.0
"""Longer than any call of the client takes that its own limits end."""

END_SECONDS = 1.0
"""How long the thread of a client that is closed may take to end by itself."""


class ClientHangs(KafkaError):  # type: ignore[misc]
    """A client has not answered for a minute, and never will. It is no timeout: the client's own `poll` hides those."""


class LimitedSelector(NetworkSelector):  # type: ignore[misc]
    """The event loop of a client; who waits for what runs in it does so for a minute at most, and only once."""

    _hangs = False

    def run(self, coro: Any, *args: Any) -> Any:
        """The result of a coroutine, or what it raises. Raises `ClientHangs`."""
        if self._io_thread is None or threading.current_thread() is self._io_thread:
            return super().run(coro, *args)
        if self._hangs:
            raise ClientHangs("the client no longer answers")
        ended = threading.Event()
        future = self.call_soon_with_future(coro, *args)
        future.add_both(lambda _: ended.set())
        if not ended.wait(WAIT_SECONDS):
            self._hangs = True
            raise ClientHangs(f"the client has not answered for {WAIT_SECONDS:.0f} s")
        if future.exception is not None:
            raise future.exception
        return future.value

    def run_forever(self) -> None:
        """What the thread does. If it fails, whoever asks for anything is told that the client hangs."""
        try:
            super().run_forever()
        except Exception as error:
            self._exception = ClientHangs(f"the thread of the client has ended ({error!r})")

    def stop(self, timeout_ms: float | None = None) -> None:
        """End the thread; one that is busy is left to itself."""
        super().stop(END_SECONDS * 1000 if timeout_ms is None else timeout_ms)

    def close(self) -> None:
        """Release all that the loop holds, unless its thread goes on."""
        try:
            super().close()
        except RuntimeError as error:
            log.warning("a thread of the Kafka client does not end", reason=str(error))


class LimitedConsumer(KafkaConsumer):  # type: ignore[misc]
    """A consumer that can be closed though it hangs."""

    def close(self, *how: Any, **limits: Any) -> None:
        """Release the connections, or at least have the thread end once it goes on: it would stay in its group."""
        try:
            super().close(*how, **limits)
        except ClientHangs:
            with suppress(ClientHangs):
                self._client.close()


def limited_client(**options: Any) -> KafkaNetClient:
    """What ``kafka_client`` of a consumer, a producer or an admin client is to be."""
    return KafkaNetClient(LimitedSelector(**options), **options)
