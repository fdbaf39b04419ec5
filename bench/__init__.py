"""The figures: what a request through Turnout costs, measured as ratios. See docs/benchmarks.md."""
