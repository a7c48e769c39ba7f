"""A verdict drawn again: the same evidence gives the same one, with no server and no clock."""

from __future__ import annotations

from components.core.params import Rollout
from components.core.workspace import Workspace
from deploy.rollout import lines
from deploy.rollout.evidence import Evidence, fold
from deploy.rollout.judge import CANDIDATE, INCUMBENT, Verdict, judge, rules_of
from deploy.rollout.log import State


def judge_rollout(workspace: Workspace, state: State, *, upto: int | None = None) -> Verdict:
    """The verdict on a rollout's evidence, all of it or its first `upto` lines; needs no server."""
    log = lines.read(Evidence(workspace, state.brief.rollout_id).path)
    arm_of = {state.brief.candidate.version: CANDIDATE, state.brief.incumbent.version: INCUMBENT}
    rules = rules_of(Rollout.model_validate(state.brief.rules), extensions=state.plan.extensions)
    return judge(fold(log[:upto]), arm_of, rules)
