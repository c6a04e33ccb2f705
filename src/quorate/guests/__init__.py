"""Guests as far as a cluster manager deals with them: which are started and stopped, in which order, when."""
