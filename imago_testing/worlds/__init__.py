"""Three small worlds beside the flights, each unlike them in another way.

    customers   binary; a key of two whole numbers, the same ones every day; closed Sundays, pounds, a label
                that is known after 30 days, rare positives
    parcels     regression; a key that is a UUID; nullable whole numbers, a feature that joins half-way
    tickets     multiclass; text keys with slashes, spaces and unicode; a column that is null for a month, a forest
                without an imputer

`WORLDS` are all of them; `MODELS` are their specs, for `IMAGO_MODELS=imago_testing.worlds:MODELS`. Only what is asked
for is computed: importing this package reads and draws nothing.
"""

from imago_testing.worlds.customers import CUSTOMERS
from imago_testing.worlds.parcels import PARCELS
from imago_testing.worlds.project import write_project
from imago_testing.worlds.tickets import TICKETS
from imago_testing.worlds.world import World

WORLDS: dict[str, World] = {world.name: world for world in (CUSTOMERS, PARCELS, TICKETS)}
MODELS = tuple(world.spec for world in WORLDS.values())

__all__ = ["MODELS", "WORLDS", "World", "write_project"]
