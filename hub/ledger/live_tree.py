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
        self._durable: tuple[int, bytes] | None = None

    def current(self, connection: Connection, head: tuple[int, bytes] | None = None) -> Tree:
        """The tree as of this write transaction; another process may have appended to it.

        `head`: size and root of the newest tree head on disk, where they have been read.
        """
        # Size and root: after a failed commit the tree in memory may have the size that another
        # process has meanwhile given the ledger, with other leaves.
        size, root = head or newest_checkpoint(connection)
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
            self._tree = self._durable = None

    def committed(self) -> None:
        """Straight behind a commit: its tree head is on disk, nodes far left are needed no more."""
        with self.lock:
            if self._tree is not None:
                self._tree.prune()
                self._durable = (self._tree.size, self._tree.root())

    def in_memory(self) -> tuple[int, bytes, Tree] | None:
        """Size and root of the newest head this process put on disk, and a tree that reaches it."""
        if self._durable is None or self._tree is None:
            return None
        return (*self._durable, self._tree)
