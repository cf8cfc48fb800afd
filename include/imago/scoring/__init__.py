"""Batch scoring: which champion scores a day, and the day's predictions."""
