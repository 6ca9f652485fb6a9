"""The scenarios, in files by noun. Every public function is one; its docstring says the rule it is about."""
