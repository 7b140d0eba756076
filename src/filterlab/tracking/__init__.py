"""The history of every run, kept in MLflow, which only recorder.py and origin.py import: processes of their own."""

from filterlab.tracking.run import NAME, NOTE, Found, NullRun, Run, reading, resume, start

__all__ = ["NAME", "NOTE", "Found", "NullRun", "Run", "reading", "resume", "start"]
