"""quorate: a cluster manager for hosts that run virtual machines and containers."""

__version__ = "0.1.0"
