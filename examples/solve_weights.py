"""Project wishes onto the shipped policy, and ask what each rule took and what it costs.

Run: python examples/solve_weights.py
"""

import pandas as pd

import pmx


def main() -> None:
    policy = pmx.load_policy()  # or load_policy("my_policy"), after `pmx init my_policy`

    # What somebody would like to hold, as fractions of NAV. What is left over is cash.
    wish = pd.Series({"SP500": 0.30, "NASDAQ": 0.20, "WTI": 0.20, "BIL": 0.25})
    held = pd.Series({"SP500": 0.08, "WTI": 0.04, "BIL": 0.40})

    allocation = pmx.project_to_feasible(wish, policy, previous=held)

    print(allocation.weights.map("{:.2%}".format).to_string())
    print()
    print(allocation.explain())
    print()
    binding = allocation.rules[allocation.rules["binding"]]
    print(binding[["bound", "value", "shadow_price", "source"]].round(4).to_string())


if __name__ == "__main__":
    main()
