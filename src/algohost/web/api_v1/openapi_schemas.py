"""The JSON schemas of requests and answers, from their models, as a document shows them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from algohost.web.api_v1.shapes import Shape

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_LONG_NAME: Final = re.compile(r"\balgohost__web__api_v1__[a-z_]+?__(?=[A-Z])(\w+)")
_IN_TEXTS: Final = frozenset({"string", "integer", "number"})


class Schemas:
    """What models say of themselves; what several share is in ``components``."""

    def __init__(
        self,
        *,
        asked: Sequence[type[BaseModel]],
        said: Sequence[type[Shape]],
        refused: Sequence[type[Shape]],
    ) -> None:
        self._requests, of_requests = _described(asked)
        self._answers, of_answers = _described([*said, *refused])
        twice = of_requests.keys() & of_answers.keys()
        if twice:
            raise RuntimeError(f"Schemas of two models have one name: {', '.join(sorted(twice))}.")
        answers = {name: _never_null(schema) for name, schema in of_answers.items()}
        whole = {self._requests[model]["$ref"].rpartition("/")[2] for model in asked}
        self._whole = {name: of_requests[name] for name in whole}
        kept = {**of_requests, **answers}
        used = set(re.findall(r'"#/components/schemas/(\w+)"', orjson.dumps(kept).decode()))
        shown = {**{name: kept[name] for name in sorted(used & kept.keys())}, **answers}
        self.components = dict(sorted(shown.items()))

    def request(self, model: type[BaseModel]) -> Json:
        """The object that ``model`` reads."""
        found: Json = self._whole[self._requests[model]["$ref"].rpartition("/")[2]]
        return found

    def answer(self, shape: type[Shape] | None) -> Json:
        """The object of an answer, by its name."""
        return {"type": "object"} if shape is None else self._answers[shape]


def as_text(schema: Json) -> Json:
    """What of ``schema`` can stand in an address, where everything is text."""
    said = {key: value for key, value in schema.items() if key not in {"anyOf", "enum", "default"}}
    if "anyOf" in schema:
        return {**said, "anyOf": [one for one in schema["anyOf"] if one.get("type") in _IN_TEXTS]}
    if "enum" in schema:
        return {**said, "enum": [one for one in schema["enum"] if isinstance(one, str)]}
    return said


def _described(models: Iterable[type[BaseModel]]) -> tuple[dict[type[BaseModel], Json], Json]:
    """The reference to each model's schema, and the schemas by their names."""
    each = list(dict.fromkeys(models))
    found, made = models_json_schema([(one, "validation") for one in each], ref_template=_REF)
    refs = {one: _tidy(found[one, "validation"]) for one in each}
    return refs, {_short(name): _tidy(schema) for name, schema in made["$defs"].items()}


def _short(name: str) -> str:
    """``algohost__web__api_v1__shapes__TradeBookAnswer__Row`` as ``TradeBookAnswerRow``."""
    return _LONG_NAME.sub(lambda found: found[1].replace("__", ""), name)


def _tidy(value: Any) -> Any:
    """Without generated titles and defaults of nothing, with short names."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return _short(value) if isinstance(value, str) else value
    kept = {
        key: one
        for key, one in value.items()
        if not (key == "title" and isinstance(one, str)) and (key, one) != ("default", None)
    }
    if kept.get("default") == "0":
        kept["default"] = 0  # a decimal number
    return {key: _tidy(one) for key, one in kept.items()}


def _never_null(schema: Json) -> Json:
    """Optional fields of an answer are left out, and never ``null``."""
    required = schema.get("required", [])
    properties = {
        name: one if name in required else _without_null(one)
        for name, one in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _without_null(schema: Json) -> Json:
    kinds = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    said = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**said, **kinds[0]}
