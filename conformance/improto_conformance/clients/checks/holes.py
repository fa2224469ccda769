"""Checks that mutants of the reference's client have asked for: each did something wrong that no other check saw."""

from improto.messages import Conversations, Join, ListConversations, SendMessage
from improto_conformance.clients.check import check
from improto_conformance.clients.stage import Stage


@check("CLIENT-10", "a member can still send after a list")
def send_after_list(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.asks_for_list({"7": ("bo", stage.name)})
    stage.ask(SendMessage("7", "still here"))
    stage.sends(SendMessage)


@check("CLIENT-10", "a list that was asked for before the JOIN, and lacks it, takes nothing back")
def send_after_list_from_before(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    stage.ask(ListConversations())
    stage.sends(ListConversations)
    stage.ask(Join("7"))
    stage.sends(Join)
    stage.serve(Conversations({"7": ("bo",)}))
    stage.tells(Conversations)
    stage.ask(SendMessage("7", "hi"))
    stage.sends(SendMessage)
