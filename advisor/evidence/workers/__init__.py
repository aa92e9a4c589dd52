"""Child processes of `evidence`: the only modules of it that import timm and torch."""
