"""What a table promises: written once in the dbt `.yml`, checked by dbt, by the audit and by the model."""

from imago.contracts.contract import Column, Contract, Raw, Volume

__all__ = ["Column", "Contract", "Raw", "Volume"]
