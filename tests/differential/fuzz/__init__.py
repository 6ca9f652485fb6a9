"""Random scripts for two servers: what nobody thought of writing down as a scenario (issue 4, "Proof").

A seed is a story of steps about one workflow and its kin. Each step looks at what the server shows, picks something
that a client, a worker or an operator could do then, does it, waits until nothing is under way, and records answers,
new events and the description. As long as two servers agree, the story is the same on both, and the first line that
differs is the difference. Nothing here may race the server: where two things could come in either order, the story
waits for the one before it begins the other.
"""
