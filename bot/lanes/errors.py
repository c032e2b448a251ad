"""What can go wrong with the lanes.

Exception
 ├── StoreLostError             nothing is known, or nothing goes now: give up this work, it comes again
 │    └── NotReplicatedError    it is done, and would be lost with the primary
 └── LaneError                  a defect or a wrong setting: repeating it does not help
      └── InstallError          the store was laid out in another way
"""


class StoreLostError(Exception):
    """The connection broke, the deadline passed, or the store refuses for now (loading, full, read-only).

    A call that was on its way may have taken effect. The web answers 503; a worker drops the work as if it had
    crashed: the lease and its fence settle it.
    """


class NotReplicatedError(StoreLostError):
    """The primary did it, and too few replicas said in time that they have it: a failover may undo it."""

    def __init__(self, reply: object) -> None:
        super().__init__("too few replicas have it")
        self.reply = reply
        """What the primary answered."""


class LaneError(Exception):
    """The store refused what was asked: a script's defect, an argument beyond a limit, a wrong password."""


class InstallError(LaneError):
    """The store was installed with other settings than this process has."""
