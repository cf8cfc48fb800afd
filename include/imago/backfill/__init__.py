"""Backfills: what one would do, told before it does anything."""
