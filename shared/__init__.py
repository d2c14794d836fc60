"""What both ends must agree on: wire, signatures, the tree, money, serials.

Imports nothing of ours. Every parser here raises one documented error for any bytes whatever.
"""
