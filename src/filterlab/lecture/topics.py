"""The lecture's twenty topics, in its order, and where each is worked out."""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from filterlab.errors import UserError


@dataclass(frozen=True)
class Topic:
    """slides: of the lecture, e.g. "5-6". module: in this package; empty where the topic comes later."""

    number: int
    title: str
    slides: str
    module: str = ""

    @property
    def folder(self) -> str:
        """Where its results lie, below the lecture's."""
        return f"{self.number:02d}_{self.module}"

    def load(self) -> ModuleType:
        """Its module: PAGE, a `topic.Page`, and run(lab) -> `topic.Findings`."""
        return import_module(f"filterlab.lecture.{self.module}")


TOPICS = [
    Topic(1, "Fitting a line", "5-6", "line"),
    Topic(2, "The logistic function", "7-16", "logistic"),
    Topic(3, "A sum of two logistic functions", "17-20", "bump"),
    Topic(4, "Composition", "21-22", "composition"),
    Topic(5, "Any logical or real-valued function", "22", "universal"),
    Topic(6, "The multilayer perceptron", "23-27", "perceptron"),
    Topic(7, "Propagation", "28-31", "propagation"),
    Topic(8, "The algorithm, and the tutorial", "32, 74", "algorithm"),
    Topic(9, "The cheat sheet", "33", "cheat_sheet"),
    Topic(10, "The edge filter", "37-52", "edge_filter"),
    Topic(11, "Engineered or discovered features", "53-55", "engineered"),
    Topic(12, "ReLU", "56-58", "relu"),
    Topic(13, "Hyperparameters", "59-61", "hyperparameters"),
    Topic(14, "Color images", "62-66", "color"),
    Topic(15, "Large networks", "67-69", "large_networks"),
    Topic(16, "What learned filters look like", "70-71"),
    Topic(17, "Low layers general, high layers class-specific", "72-73"),
    Topic(18, "Feature coding or discovery", "75", "coding_or_discovery"),
    Topic(19, "The zoo", "76"),
    Topic(20, "A service", "77"),
]


def find(number: int | str) -> Topic:
    """Raises UserError, which lists the topics: there is no such topic, or it comes later."""
    topic = next((topic for topic in TOPICS if str(topic.number) == str(number)), None)
    if topic is None or not topic.module:
        why = f"there is no topic {number!r}" if topic is None else f"topic {number} ({topic.title}) comes later"
        raise UserError(f"{why}; there are:\n{listing()}")
    return topic


def listing() -> str:
    """A line a topic."""
    later = {True: "", False: "  (comes later)"}
    return "\n".join(f"  {topic.number:>2}  {topic.title} (s{topic.slides}){later[bool(topic.module)]}" for topic in TOPICS)
