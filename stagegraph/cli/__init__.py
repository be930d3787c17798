"""The adapter to doit: tasks, commands, reporter. Only this package imports doit, prints and exits."""

from ..system.early import quiet_interrupt

quiet_interrupt()  # the imports that follow take most of the time before a command begins
