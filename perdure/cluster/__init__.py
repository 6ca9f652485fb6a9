"""What the processes of one cluster share: namespaces and the cluster's own identity; later slots, leases and
routing."""
