"""``python -m modelwatch_gpu``: the ``modelwatch`` command."""

from modelwatch_gpu.cli import main

if __name__ == "__main__":
    main()
