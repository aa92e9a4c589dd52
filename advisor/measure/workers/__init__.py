"""Child processes of `measure`: with `measure.runtimes` the only modules of it that import torch and timm."""
