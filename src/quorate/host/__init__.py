"""What a node says of itself beside its figures: machine, network, services, logs. No HTTP here."""
