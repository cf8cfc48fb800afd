"""Test support that tests, proofs and benchmarks share. The product imports none of it, and no wheel holds it."""
