"""YAML files to one frozen, typed policy that knows where each of its values came from."""

from pmx.policy.diff import policy_diff
from pmx.policy.keys import parse_override
from pmx.policy.loading import load_policy, shipped_config, write_default_policy
from pmx.policy.policy import Policy
from pmx.policy.schema import CASH

__all__ = ["CASH", "Policy", "load_policy", "parse_override", "policy_diff", "shipped_config", "write_default_policy"]
