"""A refund desk as a graph. Start reading here: this file is what a program of your own would look like.

    triage, one task a request → policy → approve, one question a request above the limit
    → settle → pay_out, one task a payment → notice

Nothing in it knows that it may be killed. The file of the thread takes care of that.
"""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from examples.refund_desk.cases import Complaint, Decision, Request
from examples.refund_desk.services import Services
from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.graph import END, START, StateGraph
from threadkeep.graph.state import CompiledStateGraph
from threadkeep.runtime import Runtime
from threadkeep.types import Send, interrupt

LIMIT = Decimal(200)  # above it, a person decides
RETURN_DAYS = 14  # so long may customers change their mind


class Desk(TypedDict, total=False):
    """The state of the desk. Parallel tasks write to one key each; its reducer joins the writes."""

    requests: dict[str, Request]
    complaints: Annotated[dict[str, Complaint], operator.or_]
    decisions: Annotated[dict[str, Decision], operator.or_]
    total: Decimal
    receipts: Annotated[dict[str, str], operator.or_]
    letters: int


class Case(TypedDict):
    """What one task of a parallel step is given."""

    request: Request


def hand_out(desk: Desk) -> list[Send]:
    """A task for each request; all of them run in one step."""
    return [Send("triage", Case(request=request)) for request in desk["requests"].values()]


def triage(case: Case, runtime: Runtime[Services]) -> Desk:
    """Find out what the request is about: the slow and costly part."""
    request = case["request"]
    runtime.stream_writer({"begun": request.id})
    return {"complaints": {request.id: runtime.context.read_letter(request)}}


def policy(desk: Desk) -> Desk:
    """Decide what the rules decide; leave the rest to a person."""
    ruled = {id: rule(request, desk["complaints"][id]) for id, request in desk["requests"].items()}
    return {"decisions": {id: decision for id, decision in ruled.items() if decision}}


def rule(request: Request, complaint: Complaint) -> Decision | None:
    """What the rules say, or None if they leave it to a person."""
    if complaint is Complaint.WORN_OUT:
        return Decision(False, "policy", "wear is not a defect")
    if complaint is Complaint.CHANGED_MIND and request.days > RETURN_DAYS:
        return Decision(False, "policy", f"more than {RETURN_DAYS} days")
    if request.amount > LIMIT:
        return None
    return Decision(True, "policy", str(complaint))


def ask_or_settle(desk: Desk) -> list[Send] | str:
    """A question for each request that is still open."""
    undecided = [request for id, request in desk["requests"].items() if id not in desk["decisions"]]
    return [Send("approve", Case(request=request)) for request in undecided] or "settle"


def approve(case: Case) -> Desk:
    """Ask a person. The run stops here, for a second or a week, and goes on with the answer."""
    request = case["request"]
    answer = interrupt({"request": request.id, "amount": str(request.amount), "text": request.text})
    return {"decisions": {request.id: Decision(answer["approved"], answer["by"], answer["reason"])}}


def settle(desk: Desk) -> Desk:
    """Everything is decided: sum up what is to be paid."""
    return {"total": sum((request.amount for request in granted(desk)), Decimal(0))}


def granted(desk: Desk) -> list[Request]:
    """The requests that are to be paid."""
    return [request for id, request in desk["requests"].items() if desk["decisions"][id].approved]


def pay_or_tell(desk: Desk) -> list[Send] | str:
    """A payment for each granted request."""
    return [Send("pay_out", Case(request=request)) for request in granted(desk)] or "notice"


def pay_out(case: Case, runtime: Runtime[Services]) -> Desk:
    """Pay one request. The bank knows it by its id: asked twice, it pays once."""
    request = case["request"]
    return {"receipts": {request.id: runtime.context.pay(request)}}


def notice(desk: Desk, runtime: Runtime[Services]) -> Desk:
    """Write to every customer."""
    for id, request in desk["requests"].items():
        runtime.context.send_letter(request, desk["decisions"][id].approved)
    return {"letters": len(desk["requests"])}


def build(saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Desk, Services, Desk, Desk]:
    """The desk, with its threads kept by *saver*."""
    builder = StateGraph(Desk, context_schema=Services)
    for node in (triage, policy, approve, settle, pay_out, notice):
        builder.add_node(node)
    builder.add_conditional_edges(START, hand_out, ["triage"])
    builder.add_edge("triage", "policy")
    builder.add_conditional_edges("policy", ask_or_settle, ["approve", "settle"])
    builder.add_edge("approve", "settle")
    builder.add_conditional_edges("settle", pay_or_tell, ["pay_out", "notice"])
    builder.add_edge("pay_out", "notice")
    builder.add_edge("notice", END)
    return builder.compile(checkpointer=saver)
