"""The one convex problem: written from the policy, solved, certified, explained."""

from pmx.projection.allocation import Allocation, Status
from pmx.projection.batch import AllocationBatch
from pmx.projection.certificate import Certificate, certify
from pmx.projection.chain import EngineChain
from pmx.projection.explain import RELAXED_ABOVE
from pmx.projection.frame import Inputs
from pmx.projection.journal import Journal, recorded, recording, refusing
from pmx.projection.one_off import by_position, project_to_feasible, solve
from pmx.projection.program import Cone, Point, Program, RuleRecord
from pmx.projection.projector import Projector
from pmx.projection.replaying import Replay, ReplayedLine, replay
from pmx.projection.rules import RuleBook

__all__ = [
    "RELAXED_ABOVE",
    "Allocation",
    "AllocationBatch",
    "Certificate",
    "Cone",
    "EngineChain",
    "Inputs",
    "Journal",
    "Point",
    "Program",
    "Projector",
    "Replay",
    "ReplayedLine",
    "RuleBook",
    "RuleRecord",
    "Status",
    "by_position",
    "certify",
    "project_to_feasible",
    "recorded",
    "recording",
    "refusing",
    "replay",
    "solve",
]
