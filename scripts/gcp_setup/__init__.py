"""Thundercast on Google Cloud, behind `scripts/gcp`: what there is to make, in one list, and what is done with it.

    chosen.py     what the user asked for: flags, values files, and what follows from them
    roles.py      who may do what, from charts/thundercast/files/roles.yaml
    things.py     one thing: how it is looked at, made and removed
    making.py     the things before the cluster: APIs, accounts, what the parts meet at
    listing.py    the whole list, in the order in which it is made
    doing.py      plan, up, verify, down: each goes through that list
    running.py    the only place that starts other programs
    __main__.py   the command line

Names, retention and policies of topics, subscriptions, bucket and tables are those of `thundercast bootstrap`, which makes them.
"""
