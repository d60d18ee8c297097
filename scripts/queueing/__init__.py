"""A simulation of the queues: simulator, topic, cleaners, topic, trainer. `python -m queueing` (from scripts/) runs it.

It is a simulation: nothing is published, cleaned or learnt. Batches are numbers with a count of rows; what takes time takes the time
that was measured (`scripts/figures`) or is assumed (`plant.py` says which). The rules are those of `stage/loop.py`: bounded windows,
leases, checkpoints, acks after checkpoints.

    plant.py     what is simulated
    topics.py    a subscription: at least once, in any order
    stages.py    a stage loop
    system.py    all of it together
    sizing.py    what fits into which limit, without a simulation
"""
