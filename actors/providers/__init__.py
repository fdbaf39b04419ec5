"""Whoever answers: the transport, one codec per wire format, and mocks.

::

    Deployment ── start(call) ─▶ RoutingCaller ─┬─▶ MockCaller          timers only
                                                └─▶ HttpCaller ── Codec.encode ─▶ transport
                                                       ▲                             │
                                                       └── Codec.decode ◀─ SseReader ┘

What goes wrong on the way becomes one error of `messages.errors` in :mod:`.failures`.
"""
