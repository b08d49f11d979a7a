"""`python -m data_generator` is the command `data-generator`."""

from data_generator.cli import main

if __name__ == "__main__":
    main()
