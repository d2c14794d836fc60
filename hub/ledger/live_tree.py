"""The one tree of a process, shared by who appends to it and who proves from it."""

import threading

from sqlalchemy import Connection

from hub.ledger.tree import Tree, newest_checkpoint


class LiveTree:
    """A tree in memory that may run ahead of the disk inside a transaction, never behind a proof.

    Whoever uses the tree holds `lock` meanwhile.
    """

    def __init__(self) -> None:
        """Loaded when first asked for."""
        self.lock = threading.RLock()
        self._tree: Tree | None = None

    def current(self, connection: Connection) -> Tree:
        """The tree as of this write transaction; another process may have appended to it."""
        # Size and root: after a failed commit the tree in memory may have the size that another
        # process has meanwhile given the ledger, with other leaves.
        size, root = newest_checkpoint(connection)
        if self._tree is None or self._tree.size != size or self._tree.root() != root:
            self._tree = Tree.load(connection)
        return self._tree

    def reaching(self, connection: Connection, size: int) -> Tree:
        """A tree with at least `size` leaves. Nodes never change, so a longer one serves too."""
        if self._tree is None or self._tree.size < size:
            self._tree = Tree.load(connection)
        return self._tree

    def forget(self) -> None:
        """Drop it: a transaction failed, and it may be ahead of the disk."""
        with self.lock:
            self._tree = None

    def prune(self) -> None:
        """After a commit: forget nodes that are on disk and far from the right edge."""
        with self.lock:
            if self._tree is not None:
                self._tree.prune()
