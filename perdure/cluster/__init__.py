"""Registries that the whole server shares: namespaces and their views, Nexus endpoints, what users say of task queues,
rules, and the cluster's own identity.
"""
