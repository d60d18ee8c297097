"""What a month costs, reckoned from the charts' values, measured figures and dated prices.

`python -m cost` (from scripts/) prints the tables of docs/cost.md; `--write` writes them there. A test holds the page to them.

    prices.toml   unit prices: where each is published, who saw it there last and when
    pods.py       what the charts' values ask for, by profile
    loads.py      how much flows
    estimate.py   the reckoning, a pure function of the three and of the figures in `scripts/figures`
"""
