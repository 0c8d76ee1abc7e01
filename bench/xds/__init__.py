"""What it costs to change a configuration, from the file to the last client's ACK: `make bench-xds`."""
