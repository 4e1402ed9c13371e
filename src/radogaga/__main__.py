"""``python -m radogaga``: the program."""

from radogaga.cli.main import main

if __name__ == "__main__":
    main()
