"""Benchmarks behind `percept bench NAME`: one module each, with `run(**options)` that returns rows."""
