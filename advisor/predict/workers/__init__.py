"""Child processes of prediction; with the other workers the only importers of torch and timm."""
