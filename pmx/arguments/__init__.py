"""What may be passed to a public function: its signature says so, and `checked` holds every call to it."""

from pmx.arguments.checked import checked
from pmx.arguments.counts import MOST_BARS, require_count
from pmx.arguments.describing import described
from pmx.arguments.kinds import read_path
from pmx.arguments.numbers import is_nan, plain_number
from pmx.arguments.shapes import require_shape

__all__ = ["MOST_BARS", "checked", "described", "is_nan", "plain_number", "read_path", "require_count", "require_shape"]
