"""What is done to W⊙c without changing c.

A module here is one recovery. Its `recover(backbone, dense, mask, head, train, seed, **settings)` changes the backbone
in place; pruned weights are zero before and after. `dense` is the backbone before it was pruned. A recovery of
UNLABELLED is given neither labels nor head: its `head` is None, and so are the labels of `train`. One of RESUMABLE is
also given the `saved` state of a run that was killed, and returns its training curve.
"""

UNLABELLED = ("batchnorm", "moments", "reconstruct")
RESUMABLE = ("finetune",)
