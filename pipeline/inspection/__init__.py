"""What a file really is, whatever its name says, and what speaks against it.

`look.look` looks at a file, with one module per family; `parts.parts` gives what is packed inside. Both
load parsers, so they run in the sandbox's child only (`pipeline.sandbox`). `findings`, `report` and
`formats` load none: they are what the worker knows of all this.
"""
