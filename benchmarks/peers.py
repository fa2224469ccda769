"""What is measured: ways to turn a message into bytes and back, improto's own and those of others.

Each way decodes to a typed and validated object, but for those that say otherwise in their names.
"""

import io
import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple
from unittest.mock import patch

import adaptix
import msgpack
import msgspec
import orjson
import pydantic
from cattrs.preconf.orjson import make_converter
from cattrs.strategies import configure_tagged_union
from mashumaro.config import BaseConfig
from mashumaro.mixins.orjson import DataClassORJSONMixin
from mashumaro.types import Discriminator

from improto.codec import Codec, load
from improto.messages import AnyMessage

__all__ = ["Way", "ways"]


class Way(NamedTuple):
    """One way, ready for one message."""

    name: str
    baseline: str
    """The way whose time counts as 1."""
    encode: Callable[[], bytes]
    decode: Callable[[], object]
    payload: bytes


# One set of classes for each library; the fields are those of the message table.


class MessageStruct(msgspec.Struct, frozen=True, tag_field="type", tag="MESSAGE"):
    conversation: str
    sender: str
    text: str


class RegisterStruct(msgspec.Struct, frozen=True, tag_field="type", tag="REGISTER"):
    username: str
    status: str


class OnlineUsersStruct(msgspec.Struct, frozen=True, tag_field="type", tag="ONLINE_USERS"):
    users: dict[str, str]


Structs = MessageStruct | RegisterStruct | OnlineUsersStruct


class MessageModel(pydantic.BaseModel, frozen=True, strict=True):
    type: Literal["MESSAGE"] = "MESSAGE"
    conversation: str
    sender: str
    text: str


class RegisterModel(pydantic.BaseModel, frozen=True, strict=True):
    type: Literal["REGISTER"] = "REGISTER"
    username: str
    status: str


class OnlineUsersModel(pydantic.BaseModel, frozen=True, strict=True):
    type: Literal["ONLINE_USERS"] = "ONLINE_USERS"
    users: dict[str, str]


Models = Annotated[MessageModel | RegisterModel | OnlineUsersModel, pydantic.Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class MessageData:
    conversation: str
    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class RegisterData:
    username: str
    status: str


@dataclass(frozen=True, slots=True)
class OnlineUsersData:
    users: dict[str, str]


Data = MessageData | RegisterData | OnlineUsersData


@dataclass(frozen=True, slots=True)
class MessageTagged:
    conversation: str
    sender: str
    text: str
    type: Literal["MESSAGE"] = "MESSAGE"


@dataclass(frozen=True, slots=True)
class RegisterTagged:
    username: str
    status: str
    type: Literal["REGISTER"] = "REGISTER"


@dataclass(frozen=True, slots=True)
class OnlineUsersTagged:
    users: dict[str, str]
    type: Literal["ONLINE_USERS"] = "ONLINE_USERS"


Tagged = MessageTagged | RegisterTagged | OnlineUsersTagged


@dataclass(frozen=True)
class Mixin(DataClassORJSONMixin):
    class Config(BaseConfig):
        discriminator = Discriminator(field="type", include_subtypes=True)


@dataclass(frozen=True)
class MessageMixin(Mixin):
    conversation: str
    sender: str
    text: str
    type: Literal["MESSAGE"] = "MESSAGE"


@dataclass(frozen=True)
class RegisterMixin(Mixin):
    username: str
    status: str
    type: Literal["REGISTER"] = "REGISTER"


@dataclass(frozen=True)
class OnlineUsersMixin(Mixin):
    users: dict[str, str]
    type: Literal["ONLINE_USERS"] = "ONLINE_USERS"


class _Refusing(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is refused")


def _unpickle(payload: bytes) -> tuple[bytes, object]:
    command, _, pickled = payload.partition(b" ")
    return command, _Refusing(io.BytesIO(pickled)).load()


@cache
def without_extra() -> Codec:
    """Give the codec json as it is where the extra `fast` is not installed."""
    with patch.dict(sys.modules, {"msgspec": None}):  # cannot be imported, and all is as it was at the end
        for name in [name for name in sys.modules if name.startswith("improto_codecs")]:
            del sys.modules[name]
        codec: Codec = import_module("improto_codecs.json_codec").JsonCodec()
        return codec


def ways(message: AnyMessage) -> list[Way]:
    """Give all ways for `message`, each baseline before what is compared with it."""
    kind, fields = (
        type(message).__name__,
        {field.name: value for field, value in zip(message.FIELDS, message.values(), strict=True)},
    )
    tagged = {"type": message.COMMAND, **fields}

    def own(codec: Codec, baseline: str, payload: bytes | None = None) -> Way:
        sender, encoded = message.FROM, payload or codec.encode(message)
        return Way(
            f"improto {codec.name}",
            baseline,
            lambda: codec.encode(message),
            lambda: codec.decode(encoded, sender),
            encoded,
        )

    def way(name: str, baseline: str, encode: Callable[[], bytes], decode: Callable[[bytes], object]) -> Way:
        payload = encode()
        return Way(name, baseline, encode, lambda: decode(payload), payload)

    def struct(name: str, encoder: Any, decoder: Any) -> Way:
        value = globals()[f"{kind}Struct"](**fields)
        return way(name, name, lambda: encoder.encode(value), decoder.decode)

    def model() -> Way:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Models)
        value = globals()[f"{kind}Model"](**fields)
        return way("pydantic", "msgspec json", lambda: adapter.dump_json(value), adapter.validate_json)

    def converted() -> Way:
        converter = make_converter()
        names = {"MessageData": "MESSAGE", "RegisterData": "REGISTER", "OnlineUsersData": "ONLINE_USERS"}
        configure_tagged_union(
            Data, converter, tag_name="type", tag_generator=lambda kind: names[kind.__name__]
        )
        value = globals()[f"{kind}Data"](**fields)
        return way(
            "cattrs + orjson",
            "msgspec json",
            lambda: orjson.dumps(converter.unstructure(value, unstructure_as=Data)),
            lambda payload: converter.loads(payload, Data),
        )

    def mixed() -> Way:
        value = globals()[f"{kind}Mixin"](**fields)
        return way("mashumaro + orjson", "msgspec json", lambda: value.to_jsonb(), Mixin.from_json)

    def retorted() -> Way:
        retort = adaptix.Retort()
        load_it, dump = retort.get_loader(Tagged), retort.get_dumper(Tagged)
        value = globals()[f"{kind}Tagged"](**fields)
        return way(
            "adaptix + orjson",
            "msgspec json",
            lambda: orjson.dumps(dump(value)),
            lambda payload: load_it(orjson.loads(payload)),
        )

    def pickled(protocol: int) -> list[Way]:
        name = f"refusing pickle.Unpickler, protocol {protocol}, untyped"
        arguments = next(iter(fields.values())) if kind == "OnlineUsers" else list(fields.values())
        payload = f"{message.COMMAND} ".encode() + pickle.dumps(arguments, protocol)
        recipe = Way(
            name,
            name,
            lambda: f"{message.COMMAND} ".encode() + pickle.dumps(arguments, protocol),
            lambda: _unpickle(payload),
            payload,
        )
        mine = own(load("pickle"), name, payload)
        return [recipe, mine._replace(name=f"improto pickle, protocol {protocol}")]

    return [
        struct("msgspec json", msgspec.json.Encoder(), msgspec.json.Decoder(Structs)),
        own(without_extra(), "msgspec json"),
        own(load("json"), "msgspec json")._replace(name="improto json, fast"),
        own(load("ascii"), "msgspec json"),
        model(),
        converted(),
        mixed(),
        retorted(),
        way(
            "json.dumps, json.loads, untyped", "msgspec json", lambda: json.dumps(tagged).encode(), json.loads
        ),
        struct("msgspec msgpack", msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Structs)),
        own(load("msgpack"), "msgspec msgpack"),
        way(
            "msgpack, bare array, untyped",
            "msgspec msgpack",
            lambda: msgpack.packb([message.COMMAND, *fields.values()]),
            msgpack.unpackb,
        ),
        *pickled(2),
        *pickled(0),
    ]
