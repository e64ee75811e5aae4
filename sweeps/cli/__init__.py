"""The command line: thin commands, data on stdout, words on stderr."""
