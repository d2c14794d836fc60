"""What people see: signing in and the pages of the hub.

Promises: every page works without JavaScript, every list is also `.json` and `.csv` at the same
URL, all state of a list is in its URL, and nothing is shown to somebody who has not signed in.
Must not know: how facts are stored. Pages ask the services of the features below them.
"""
