"""The data-exploration report of a training snapshot."""

from imago.exploration.report import explore

__all__ = ["explore"]
