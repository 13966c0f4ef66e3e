"""What the benchmarks share: problems, contestants, measuring, reporting."""
