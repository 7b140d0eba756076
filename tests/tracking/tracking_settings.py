"""What these tests tell tracking: as schema.Tracking has it, with defaults."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    backend: str = "local"
    uri: str = ""
    experiment: str = "test"
    system_metrics: bool = False
    require: bool = False
    patience: float = 10.0
