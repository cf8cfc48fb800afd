"""Drift, measured on small mergeable profiles and never on rows: see `profiles`, `divergence` and `drift`."""
