"""Tables: Delta on S3 or in a folder, one partition a day, published whole or not at all."""

from imago.tables.delta import Table
from imago.tables.infos import PartitionInfo, Publication

__all__ = ["PartitionInfo", "Publication", "Table"]
