"""Random state of every kind, on one line."""

import multiprocessing
import random
import secrets
import tempfile
import uuid

import numpy

print(
    random.random(),
    numpy.random.rand(),
    numpy.random.default_rng().random(),
    secrets.token_hex(8),
    uuid.uuid4(),
    next(tempfile._get_candidate_names()),
    multiprocessing.current_process().authkey.hex(),
)
