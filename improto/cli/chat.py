"""Placeholder."""
import argparse
HELP = "chat"
def configure(parser: argparse.ArgumentParser) -> None: ...
def run(arguments: argparse.Namespace) -> int: return 0
