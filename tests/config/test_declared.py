"""What a module declares wrongly is one sentence that names module and field, as soon as the names are collected."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from filterlab.config import compose, declared, schema
from filterlab.config.section import Names, Section, value
from filterlab.data import augment
from filterlab.data.format import Format
from filterlab.errors import ConfigError, UserError
from filterlab.models.plan import Model, Plan, dense, flatten
from filterlab.training import optimizers, schedules
from filterlab.training.optimizers import SGD, Optimizer

HERE = __name__


class Planned(Model):
    def plan(self, *, classes: int) -> Plan:
        return Plan([flatten(), dense(classes)])


@dataclass
class Part(Section):
    size: int = value("of the part", ge=1)


def model(kind: Any, field: Any) -> type[Model]:
    """A model with a field of this type."""
    return dataclass(type("Own", (Planned,), {"__annotations__": {"width": kind}, "width": field, "__module__": HERE}))


@pytest.mark.parametrize(
    ("kind", "field", "message"),
    [
        (list[int], value("of it", ge=1, le=9), "Own.width has no bound most, expected the largest number of entries"),
        (dict[str, str], value("of it", text="name", most=9), "Own.width has no bound values, expected one"),
        (str, value("of it"), "Own.width has neither or both of choices and text, expected one of them"),
        (str, value("of it", text="name", choices=["a"]), "Own.width has neither or both of choices and text"),
        (
            str,
            value("of it", text="word"),
            "Own.width is a text of kind 'word', expected one of text, name, path, url, server, bucket, md5",
        ),
        (str, value("of it", choices="relu"), "Own.width has the choices 'relu', expected a list of texts"),
        (int, 3, "Own.width has no value(), expected e.g. `width: int = value("),
        (int, value("of it"), "Own.width has the bounds none, expected two: ge or gt, and le or lt"),
        (float, value("of it", gt=0), "Own.width has the bounds gt, expected two: ge or gt, and le or lt"),
        (list[int], value("of it", ge=0, most=3), "Own.width has the bounds ge, most, expected two: ge or gt, and le or lt"),
        (int, value("of it", min=1, max=9), "Own.width has the bound max, expected ge, gt, le, lt"),
        (int, value("of it", choices=[1, 2]), "Own.width has the bound choices, expected ge, gt, le, lt"),
        (bool, value("of it", ge=0), "Own.width has the bound ge, expected none"),
        (int, value("of it", ge=0, le=9, most=3), "Own.width has the bound most, expected ge, gt, le, lt"),
        (
            int | None,
            value("of it", ge=1, le=9),
            "Own.width is of type int | None, expected int, float, bool, str, a list of one",
        ),
        (tuple[int, int], value("of it", ge=1, le=9, most=2), "Own.width is of type tuple[int, int], expected int, float, "),
        (Literal["a", "b"], value("of it"), "Own.width is of type Literal['a', 'b'], expected int, float, "),
        (
            dict[str, int],
            value("of it", text="name", values="name", most=9),
            "Own.width is of type dict[str, int], expected int, ",
        ),
        (list[list[int]], value("of it", ge=1, le=9, most=9), "Own.width is of type list[list[int]], expected int, "),
        (list, value("of it", ge=1, le=9, most=9), "Own.width is of type list, expected int, "),
        (Part, value("of it"), f"Own.width is of type {HERE}.Part, expected int, "),
        (list[Part], value("of it", most=9), "Part.size has the bounds ge, expected two: ge or gt, and le or lt"),
    ],
)
def test_a_field(kind: Any, field: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        declared.settings({"own": model(kind, field)}, base=Model, method="plan")
    assert str(raised.value).startswith(f"{HERE}.{message}") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (list[int], value("of it", ge=1, le=9, most=3, least=1)),
        (list[str], value("of it", choices=["a"], most=3)),
        (dict[str, str], value("of it", text="name", values="md5", most=3)),
        (bool, value("of it")),
        (float, value("of it", gt=0, lt=1, default=0.5)),
    ],
)
def test_a_field_that_is_right(kind: Any, field: Any) -> None:
    own = model(kind, field)
    assert declared.settings({"own": own}, base=Model, method="plan") == {"own": own}


def test_a_forgotten_dataclass() -> None:
    class Own(Planned):
        width: int = value("of it", ge=1, le=9)

    @dataclass
    class Below(Own):
        pass

    for section in (Own, Below):
        with pytest.raises(UserError, match=r"\.Own has no @dataclass above its class, expected for its fields: width$"):
            declared.settings({"own": section}, base=Model, method="plan")


def test_what_is_no_class_of_the_kind() -> None:
    sgd = SGD(name="sgd", lr=0.1, weight_decay=0.0, momentum=0.0, nesterov=False)
    for named in (sgd, Planned, "sgd"):
        with pytest.raises(UserError, match=r"^NAMES has .* for 'own', expected a class below filterlab\..*\.Optimizer$"):
            declared.settings({"own": named}, base=Optimizer, method="build")


def test_a_name_that_is_taken_in_the_same_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """As README says it: a line at the module's end."""
    for names in (optimizers.NAMES, schedules.NAMES, augment.NAMES):
        (name, there), *_ = names.items()
        with pytest.raises(
            UserError, match=rf"^NAMES has {name!r} already, for {re.escape(repr(there))}: give .*Planned.* another name$"
        ):
            names[name] = Planned  # type: ignore[assignment]
        assert names[name] is there
    monkeypatch.setattr(optimizers, "NAMES", Names(optimizers.NAMES))
    optimizers.NAMES["mine"] = SGD
    assert optimizers.NAMES["mine"] is SGD


def test_an_optimizer_that_builds_nothing() -> None:
    @dataclass
    class Own(Optimizer):
        pass

    with pytest.raises(UserError, match=r"\.Own has no build\(\); see that of filterlab\.training\.optimizers\.Optimizer$"):
        declared.settings({"own": Own}, base=Optimizer, method="build")


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"one": "NAMES = {'a': 1}", "plain": "WIDTH = 3"}, "own.plain has no NAMES, expected a mapping of names in conf/"),
        ({"one": "NAMES = {'a': 1}", "two": "NAMES = ['b']"}, "own.two has no NAMES, expected a mapping of names in conf/"),
        (
            {"one": "NAMES = {'a': 1}", "two": "NAMES = {'a': 2}"},
            "own.two: NAMES has 'a', which is a name in own.one: take another",
        ),
        ({"one": "NAMES = {'a': 'b'}"}, "own.one: NAMES has 'b' for 'a', expected a int"),
    ],
)
def test_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: dict[str, str], message: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__init__.py").touch()
    for name, text in modules.items():
        (tmp_path / f"own/{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(UserError) as raised:
            declared.names("own", [str(tmp_path / "own")], of=int)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
            del sys.modules[name]
    assert str(raised.value).startswith(message)


def test_the_formats_are_formats() -> None:
    from filterlab.data import formats

    assert declared.names(formats.__name__, formats.__path__, of=Format) == formats.FORMATS
    with pytest.raises(UserError, match=r"expected a str$"):
        declared.names(formats.__name__, formats.__path__, of=str)


def test_an_option_without_its_file(own_conf: Path) -> None:
    (own_conf / "model/lenet5.yaml").unlink()
    for option, missing in [("lenet5", True), ("lenet", False)]:
        with pytest.raises(ConfigError) as raised:
            compose.compose(own_conf, [f"model={option}"])
        [fault] = raised.value.faults
        assert fault.startswith(f"model: no option {option!r}; there are: ")
        assert ("conf/model/lenet5.yaml is missing" in fault) == missing
    with pytest.raises(ConfigError) as raised:
        compose.compose(own_conf, ["trainer=trainer"])
    assert "missing" not in str(raised.value)


def test_an_option_without_its_name(own_conf: Path) -> None:
    path = own_conf / "model/lenet5.yaml"
    path.write_text(path.read_text().replace("name:", "# name:"))
    with pytest.raises(ConfigError) as raised:
        compose.compose(own_conf, ["model=lenet5"])
    assert raised.value.faults == [f"model.name has no value, expected one of {', '.join(schema.FAMILIES['model'])}"]
