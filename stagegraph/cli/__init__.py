"""The adapter to doit: tasks, commands, reporter. Only this package imports doit, prints and exits."""
