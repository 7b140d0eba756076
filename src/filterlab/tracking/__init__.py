"""The history of every run, kept in MLflow, which only the recorders, processes of their own, import."""

from filterlab.tracking.run import NAME, NOTE, Found, NullRun, Run, reading, resume, start

__all__ = ["NAME", "NOTE", "Found", "NullRun", "Run", "reading", "resume", "start"]
