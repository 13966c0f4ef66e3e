"""The one convex problem: written from the policy, solved, certified, explained."""

from pmx.projection.allocation import CASH, Allocation, LinearRules, Status
from pmx.projection.certificate import Certificate, certify
from pmx.projection.chain import EngineChain
from pmx.projection.program import Cone, Point, Program, RuleRecord
from pmx.projection.projector import Projector, by_position, project_to_feasible, solve
from pmx.projection.rules import Inputs, RuleBook

__all__ = [
    "CASH",
    "Allocation",
    "Certificate",
    "Cone",
    "EngineChain",
    "Inputs",
    "LinearRules",
    "Point",
    "Program",
    "Projector",
    "RuleBook",
    "RuleRecord",
    "Status",
    "by_position",
    "certify",
    "project_to_feasible",
    "solve",
]
