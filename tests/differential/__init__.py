"""Differential tests: one scenario, two servers, the same transcript (issue 3, "Proof").

A scenario is a script of raw RPCs. It runs against Perdure and against the real Temporal dev server, and the
normalised responses, histories and errors are compared line by line. Nothing here may know how Perdure works inside,
and no SDK worker takes part: what is compared is the wire.
"""
