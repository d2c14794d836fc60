"""Measurements: each prints ratios beside a peer or a limit in the same run."""
