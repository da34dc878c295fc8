"""CUDA without a GPU: this folder is importable by its tests (`building`, `vm`), which its being here makes so."""
