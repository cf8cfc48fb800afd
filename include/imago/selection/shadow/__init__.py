"""A challenger in the shadow of the champion: what it would have decided, and who was right.

`choice` says which versions score a day; `sums` brings a day's two predictions, and the truth where it is known, into
sums that add up over days; `story` makes of any days what a person reads; `pictures` says where its marks lie. Pure.
"""
