"""Tables: Delta on S3 or in a folder, one partition a day, published whole or not at all."""

from imago.tables.delta import PartitionInfo, Publication, Table

__all__ = ["PartitionInfo", "Publication", "Table"]
