"""Bytes from an enemy: an error, and nothing else happens."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import textwrap
from collections import deque
from typing import Any

import numpy  # loaded beforehand, so that fuzzing cannot be the first to import it
import ormsgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from tests.serde import classes as app
from tests.serde.strict import differences
from tests.serde.test_langchain import messages
from tests.serde.test_round_trip import VALUES
from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer(allowed_modules=app.REGISTERED)
WHOLE = SERDE.dumps(
    [VALUES, messages(), app.Order(1, [app.Point(1), app.Customer(name="a")]), app.Level.LOW,
    numpy.arange(3),
     app.Loose(name="a"), app.Stack([1]), app.UserId("u"), numpy.float64(1)]
)  # fmt: skip
PARTS = [SERDE.dumps(value) for value in VALUES]


def ext(code: int, data: bytes) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, data))


def packed(code: int, state: Any) -> bytes:
    return ext(code, ormsgpack.packb(state))


def load(data: bytes, tag: str = "msgpack") -> str:
    """ "error" or "value", the only things that may come of any bytes."""
    modules = set(sys.modules)
    try:
        SERDE.loads_typed((tag, data))
    except DeserializationError:
        return "error"
    finally:
        new = {name.partition(".")[0] for name in set(sys.modules) - modules}
        assert new <= {"json", "tzdata", "importlib"}  # what the serialiser itself imports when first needed
    return "value"


@settings(max_examples=600, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["msgpack", "msgpack", "msgpack", "json", "pickle", "bytes", "x", ""]),
)
def test_random_bytes_give_a_value_or_an_error(data: bytes, tag: str) -> None:
    assert load(data, tag) in ("error", "value")


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.large_base_example])
@given(st.data())
def test_mutated_data_gives_a_value_or_an_error(data: Any) -> None:
    draw = data.draw
    mutated = bytearray(draw(st.sampled_from([WHOLE, *PARTS])))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(mutated)))
        end = draw(st.integers(at, min(at + 4, len(mutated))))
        mutated[at:end] = draw(st.binary(max_size=4))
    assert load(bytes(mutated)) in ("error", "value")


EXTENSIONS = st.recursive(
    st.one_of(
        st.binary(max_size=12),
        st.none(),
        st.integers(),
        st.text(max_size=5),
        st.sampled_from(PARTS).map(bytes),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(lambda code, value: ormsgpack.Ext(code, _pack(value)), st.integers(-3, 127), inner),
    ),
    max_leaves=8,
)


def _pack(value: Any) -> bytes:
    try:
        return ormsgpack.packb(value)
    except TypeError:  # an int beyond 64 bit
        return b"\xc0"


@settings(max_examples=800, deadline=None)
@given(EXTENSIONS)
def test_wild_extensions_give_a_value_or_an_error(value: Any) -> None:
    assert load(_pack(value)) in ("error", "value")


NAMES = [
    "os:system", "os.system", "subprocess:Popen", "subprocess.Popen", "builtins:eval", "builtins:object",
    "posix:system",
    "importlib:import_module", "tests.serde.classes:Order.__init__", "tests.serde.classes:REGISTERED",
    "tests.serde.classes:datetime", "tests.serde.classes:__loader__", "xml.dom.expatbuilder:Node",
    "antigravity:x",
    "threadkeep.checkpoint.serde.jsonplus:register", "", ":", "tests.serde.classes", "\0", ".", "a" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:40])
@pytest.mark.parametrize(
    "state", ["touch x", ["touch", "x"], {"args": "touch x"}, None, [["x"], {}]], ids=repr
)
def test_data_that_names_a_class_not_allowed_is_refused(name: str, state: Any) -> None:
    closed = JsonPlusSerializer(allowed_modules=["tests.serde.classes"])
    modules = set(sys.modules)
    with pytest.raises(DeserializationError):
        closed.loads(packed(32, [name, state]))
    assert set(sys.modules) == modules


@pytest.mark.parametrize(
    "name", [None, 1, b"os:system", ["os", "system"], {"os": "system"}, 1.5, True], ids=repr
)
def test_a_name_that_is_no_string_is_refused(name: Any) -> None:
    with pytest.raises(DeserializationError):
        SERDE.loads(packed(32, [name, {}]))


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("data", [pickle.dumps(Bomb()), b"cos\nsystem\n(S'exit 1'\ntR."])
def test_a_pickle_is_refused_unread(data: bytes) -> None:
    for tag, payload in (
        ("pickle", data),
        ("msgpack", ext(36, data)),
        ("msgpack", packed(1, [ormsgpack.Ext(36, data)])),
    ):
        with pytest.raises(DeserializationError, match="pickle_fallback"):
            SERDE.loads_typed((tag, payload))


def test_every_declared_length_beyond_the_data_is_refused() -> None:
    for header in range(0xC4, 0xE0):
        for length in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff", b"\xff\xff"):
            assert load(bytes([header]) + length) == "error" or header in range(0xCA, 0xD4)


def test_truncated_data_is_refused() -> None:
    for end in range(0, len(WHOLE) - 1, 7):
        assert load(WHOLE[:end]) == "error"


# Depth


def nested(level: Any, times: int, value: Any = None) -> Any:
    for _ in range(times):
        value = level(value)
    return value


@pytest.mark.parametrize("code", [1, 2, 4, 8, 9, 11, 32, 64, 34])
def test_extensions_within_extensions_end_at_a_limit(code: int) -> None:
    data = b"\xc0"
    for _ in range(3000):
        data = ext(code, b"\x91" + data)
    assert load(data) == "error"


def test_plain_nesting_within_extensions_does_not_overflow_the_stack() -> None:
    for plain in (30, 200, 1000):
        data = b"\xc0"
        for _ in range(200):
            data = ext(1, b"\x91" * plain + data)
        assert load(data) == "error"


def test_plain_nesting_alone_ends_at_a_limit() -> None:
    for depth in (1100, 100_000, 2_000_000):
        assert load(b"\x91" * depth + b"\xc0") == "error"
        assert load(b"\x81\xa1a" * depth + b"\xc0") == "error"


def test_64_levels_of_typed_values_are_fine_and_65_are_refused_when_saved() -> None:
    assert SERDE.loads(SERDE.dumps(nested(lambda inner: (inner,), 63))) == nested(lambda inner: (inner,), 63)
    with pytest.raises(SerializationError, match="nests more than 64 typed values"):
        SERDE.dumps(nested(lambda inner: (inner,), 65))


def test_254_levels_of_plain_values_are_fine_and_more_are_refused_when_saved() -> None:
    deep = nested(lambda inner: [inner], 254)
    assert SERDE.loads(SERDE.dumps(deep)) == deep
    for value in (
        nested(lambda inner: [inner], 300),
        nested(lambda inner: {"a": inner}, 5000),
        nested(lambda inner: {1: inner}, 300),
    ):
        with pytest.raises(SerializationError, match="nests"):
            SERDE.dumps(value)


def test_what_saves_loads_however_deep() -> None:
    for typed in (1, 3, 5, 20, 60):
        for plain in (1, 20, 33, 40, 200):
            value = nested(lambda inner: (nested(lambda item: [item], plain, inner),), typed)  # noqa: B023
            try:
                data = SERDE.dumps(value)
            except SerializationError:
                assert plain > 32
                continue
            assert SERDE.dumps(SERDE.loads(data)) == data


def test_a_value_that_contains_itself_is_refused() -> None:
    plain: list[Any] = []
    plain.append(plain)
    mapping: dict[Any, Any] = {}
    mapping[1] = mapping
    typed: list[Any] = []
    typed.append((typed,))
    line: deque[Any] = deque()
    line.append(line)
    order = app.Order(1)
    order.lines.append(order)
    message = AIMessage("x")
    message.additional_kwargs["self"] = message
    odd: list[Any] = [bytearray(b"x"), "\ud800"]
    odd.append(odd)
    for value in (plain, mapping, typed, line, order, message, odd):
        with pytest.raises(SerializationError, match="contains itself"):
            SERDE.dumps_typed({"value": value})


def test_saving_deep_in_the_programs_own_stack_gives_the_same_error() -> None:
    def deeper(levels: int) -> None:
        if levels:
            deeper(levels - 1)
        else:
            SERDE.dumps(nested(lambda inner: (inner,), 60))

    with pytest.raises(SerializationError):
        deeper(sys.getrecursionlimit() - 150)


def test_unusual_parts_on_every_level_are_packed_in_linear_time() -> None:
    value: Any = "\ud800"
    for level in range(60):
        value = ([value, {level: bytearray(b"x")}],)
    assert differences(value, SERDE.loads(SERDE.dumps(value))) is None


# Memory


LIMITED = textwrap.dedent(
    """
    import langchain_core.messages, numpy, ormsgpack, resource, signal, sys
    from threadkeep.checkpoint.serde.base import DeserializationError
    from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
    from tests.serde import classes as app

    serde = JsonPlusSerializer(allowed_modules=app.REGISTERED)
    in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 200_000_000, resource.RLIM_INFINITY))
    pack, Ext = ormsgpack.packb, ormsgpack.Ext
    huge = Ext(24, pack([0, 10**12, 1]))
    payloads = [bytes([header]) + length for header in range(0xC4, 0xE0) for length in (b"\\xff" * 4,
    b"\\x7f" + b"\\xff" * 3)]
    payloads += [pack(Ext(code, pack(huge))) for code in (1, 2, 3, 4, 8, 9, 11, 14, 15, 16, 22, 24)]
    payloads += [pack(Ext(9, pack([kind, factory, huge]))) for kind in (0, 1, 2) for factory in (0, 1)]
    payloads += [pack(Ext(4, pack([10**15, 1]))), pack(Ext(4, pack(huge)))]
    for cls in app.REGISTERED:
        name = f"{cls.__module__}:{cls.__qualname__}"
        for state in (huge, [huge], [huge, huge], [10**12], 10**12, {"a": huge}, [{}, huge], [{}, [], huge]):
            payloads.append(pack(Ext(32, pack([name, state]))))
    payloads += [pack(Ext(code, pack(state))) for code in range(64, 92) for state in (huge, [huge, huge],
    [{}, huge])]
    for shape in ([10**12], [10**6, 10**6], [2**62, 4], [0, 2**62], huge, -1, [-1], 10**12):
        for memory in (b"", b"1234", 10**12, huge, None, [], ["a"]):
            for dtype in ("<f8", "<U0", "|V0", "<U999999999", "|O", None, [["a", "<f8", [10**9]]], huge):
                payloads.append(pack(Ext(34, pack([dtype, shape, False, memory]))))
                payloads.append(pack(Ext(35, pack([dtype, memory]))))
    data = b"x" * 100_000
    for _ in range(500):
        data = pack(Ext(1, b"\\x91" + pack(data) if type(data) is str else b"\\x91" + data))
    payloads.append(data)
    loaded = 0
    for payload in payloads:
        signal.alarm(5)
        try:
            serde.loads(payload)
            loaded += 1
        except DeserializationError as error:
            assert not isinstance(error.__cause__, MemoryError), payload[:200]
    print("refused", len(payloads) - loaded > 1000)
    """
)


def test_no_payload_exhausts_memory() -> None:
    found = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=100)
    assert found.stdout == "refused True\n", found.stderr[-2000:]
    assert found.returncode == 0


def test_loading_needs_memory_in_proportion_to_the_data() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = b"x" * 1_000_000
    for _ in range(100):
        data = ext(1, b"\x91" + data)
    assert load(data) == "error"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # kilobytes


# The rest of the surface


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("json", b"{"),
        ("json", b"[" * 100_000),
        ("json", b"\xff"),
        ("unknown", b""),
        ("", b"x"),
        ("msgpack", b""),
    ],
)
def test_other_tags_with_bad_data_are_errors(tag: str, data: bytes) -> None:
    with pytest.raises(DeserializationError):
        SERDE.loads_typed((tag, data))


def test_json_is_read_as_plain_values() -> None:
    lc = b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["exit 1"]}'
    assert SERDE.loads_typed(("json", lc))["id"] == ["os", "system"]


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "/etc/passwd", "..", "a\0b", "", "Europe", "No/Where", "tzdata.zi"]
)
def test_a_zone_key_reaches_no_other_file(key: str) -> None:
    with pytest.raises(DeserializationError):
        SERDE.loads(ext(17, key.encode()))


def test_a_zone_that_does_not_exist_imports_nothing() -> None:
    for key in (b"Europe/Berlix", b"Antarctica/Nowhere", b"os/path"):
        modules = set(sys.modules)
        assert load(ext(17, key)) == "error"
        assert {name for name in set(sys.modules) - modules if name.startswith(("tzdata.", "os"))} == set()


def test_a_pattern_does_not_print_its_program(capfd: pytest.CaptureFixture[str]) -> None:
    assert SERDE.loads(packed(22, ["a", 128 | 2])).pattern == "a"
    assert capfd.readouterr() == ("", "")


def test_a_hook_of_the_application_sees_every_extension() -> None:
    seen: list[tuple[int, bytes]] = []

    def hook(code: int, data: bytes) -> str:
        seen.append((code, data))
        return "seen"

    serde = JsonPlusSerializer(__unpack_ext_hook__=hook)
    assert serde.loads(serde.dumps([(1,), {2}])) == ["seen", "seen"]
    assert seen == [(1, b"\x91\x01"), (2, b"\x91\x02")]
