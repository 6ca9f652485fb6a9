"""Commands of a completed workflow task: one file per noun, one function per command (semantics 4)."""
