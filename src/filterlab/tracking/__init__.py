"""The history of every run, kept in MLflow, which only the recorders, processes of their own, import."""

from filterlab.tracking.run import Found, NullRun, Run, reading, resume, start

__all__ = ["Found", "NullRun", "Run", "reading", "resume", "start"]
