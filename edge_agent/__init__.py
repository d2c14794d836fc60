"""The box in the store: hears tills and scooters, stores durably, delivers with proof.

It promises: what it acknowledged survives a power cut and reaches the ledger once, or a loss is
declared. It knows nothing of the hub beyond what `shared` defines.
"""

VERSION = "0.1.0"
"""As in pyproject.toml; stated here because reading package metadata costs a megabyte."""
