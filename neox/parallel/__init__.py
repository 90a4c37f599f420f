"""The mesh of process groups and the one sharding table."""
