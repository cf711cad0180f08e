"""How fast Correio is, next to what people run today: the same load, the same machine, one run.

`python -m bench` compares, `python -m bench.curves` shows the cost as work grows, `python -m bench.budget` counts the
function calls that a message costs. Nothing in here is part of the product; it imports the services only to count.
"""
