"""The history of every run, kept in MLflow, which only recorder.py and origin.py import: processes of their own."""

from filterlab.tracking.run import Found, NullRun, Run, reading, resume, start

__all__ = ["Found", "NullRun", "Run", "reading", "resume", "start"]
