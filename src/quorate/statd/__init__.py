"""The status daemon ``pvestatd``: what the cluster is told regularly about this node (pvecm 11)."""
