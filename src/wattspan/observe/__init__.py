"""Observes OCPP conversations of others: frames in; domain events, fleet state, spans and metrics out.

`csms` handles the messages of our own central system. Everything else that sees OCPP messages (a proxy, an instrumented
program, a recorded log) observes them here, with the same result. It answers nothing, refuses nothing and raises
nothing. It must not know sockets, stores or where the frames come from.

    observer = Observer(recorder=recorder)
    conversation = observer.connect("CP1", "ocpp1.6", time.time_ns())
    conversation.frame('[2, "1", "Heartbeat", {}]', from_charge_point=True, at_ns=time.time_ns())
    conversation.frame('[3, "1", {"currentTime": "…"}]', from_charge_point=False, at_ns=time.time_ns())
    conversation.close(1000, "", time.time_ns())
"""

from wattspan.observe.conversation import Conversation
from wattspan.observe.core import Limits
from wattspan.observe.exchanges import Exchange
from wattspan.observe.observer import Observer
from wattspan.observe.role import Role

__all__ = ["Conversation", "Exchange", "Limits", "Observer", "Role"]
