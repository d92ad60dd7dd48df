"""Subclasses of the module's classes, written as usual in Python."""

from __future__ import annotations

import abc
import asyncio
import copy
import dataclasses
import functools
import gc
import inspect
import pickle
import queue
import threading
import typing
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
import pytest
import requests
from conftest import Emulator, in_threads
from echo import Echo

import tu_token

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

T = TypeVar("T")


class Tenant(tu_token.Client):
    """Has its own ``__init__``."""

    def __init__(self, tenant: str, **options: Unpack[tu_token.Options]) -> None:
        super().__init__(**options)
        self.tenant = tenant

    @functools.cached_property
    def label(self) -> str:
        return f"{self.tenant}: {self.get().scope}"


def test_an_init_of_its_own(emulator: Emulator) -> None:
    client = Tenant("north", scope="site.view")
    assert client.tenant == "north" and client.get().scope == "site.view"
    assert client.token() is client.token() and asyncio.run(client.token_async())
    assert client.label == "north: site.view" and "label" in vars(client)
    with Tenant(tenant="south") as other:
        assert other.token()
    with pytest.raises(tu_token.ClosedError):
        other.token()


def test_an_invalid_option_is_reported() -> None:
    with pytest.raises(tu_token.ConfigError, match="did you mean scope"):
        Tenant("north", scopee="site.view")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="tenant"):
        Tenant()  # type: ignore[call-arg]


def test_mixins_on_either_side() -> None:
    class Counting:
        def __init__(self, **others: Any) -> None:
            super().__init__(**others)
            self.count = 7

    class Before(Counting, tu_token.Client):
        pass

    class After(tu_token.Client, Counting):
        pass

    for kind in (Before, After):
        client = kind(scope="site.view")
        assert client.count == 7 and client.stats().waits == 0


def test_bases_that_make_classes_in_their_own_way(emulator: Emulator) -> None:
    class Abstract(tu_token.Client, abc.ABC):
        @abc.abstractmethod
        def where(self) -> str: ...

    class Concrete(Abstract):
        def where(self) -> str:
            return "here"

    class Of(tu_token.Client, Generic[T]):
        def __init__(self, kept: T) -> None:
            super().__init__()
            self.kept = kept

    @dataclasses.dataclass(eq=False)
    class Data(tu_token.Client):
        tenant: str
        options: dict[str, str] = dataclasses.field(default_factory=dict)

        def __post_init__(self) -> None:
            super().__init__(scope=self.options.get("scope"))

    assert Concrete().where() == "here"
    assert Of[int](5).kept == 5
    assert Data("north", {"scope": "site.view"}).get().scope == "site.view"


def test_slots_weak_references_and_pickles() -> None:
    class Slotted(tu_token.Client):
        __slots__ = ("tenant",)

        def __init__(self, tenant: str) -> None:
            self.tenant = tenant
            super().__init__()

    client = Slotted("north")
    with pytest.raises(AttributeError):
        client.other = 1  # type: ignore[attr-defined]
    gone = weakref.ref(client)
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            refused(client)
    del client
    gc.collect()
    assert gone() is None


def make_tenant(tenant: str) -> Tenant:
    return Tenant(tenant)


class Travelling(Tenant):
    def __reduce__(self) -> Any:
        return make_tenant, (self.tenant,)


def test_a_subclass_with_reduce_can_be_pickled(emulator: Emulator) -> None:
    arrived = pickle.loads(pickle.dumps(Travelling("north")))
    assert arrived.tenant == "north" and arrived.token()


def test_functions_that_are_methods(emulator: Emulator) -> None:
    class Telling(tu_token.Client):
        def __init__(self) -> None:
            self.events: queue.Queue[tu_token.Event] = queue.Queue()
            super().__init__(on_event=self.told)

        def told(self, event: tu_token.Event) -> None:
            self.events.put(event)

    client = Telling()
    client.token()
    assert client.events.get(timeout=10).kind is tu_token.EventKind.FETCH_STARTED


def test_a_new_of_its_own(emulator: Emulator) -> None:
    class Known(tu_token.Client):
        made: typing.ClassVar[dict[str, Known]] = {}
        name: str

        def __new__(cls, name: str) -> Self:
            self = super().__new__(cls)
            self.name = name
            cls.made[name] = self
            return self

        def __init__(self, name: str) -> None:
            super().__init__(name=name)

    client = Known("reports")
    assert Known.made["reports"] is client and client.token()
    Known.made.clear()


CALLS: list[Callable[[tu_token.Client], object]] = [
    lambda client: client.token(),
    lambda client: client.get(timeout=0),
    lambda client: asyncio.run(client.token_async()),
    lambda client: client.invalidate("x"),
    lambda client: client.rotate("a", "b"),
    lambda client: client.wake(),
    lambda client: client.stats(),
    lambda client: client.may_send_to("https://iris.trackunit.com/"),
    lambda client: client.api_refused("https://iris.trackunit.com/"),
    lambda client: requests.get("http://127.0.0.1:9/", auth=tu_token.RequestsAuth(client)),
    lambda client: httpx.get("http://127.0.0.1:9/", auth=tu_token.HttpxAuth(client)),
]


@pytest.mark.parametrize("call", CALLS)
def test_an_init_that_forgets_the_clients(call: Callable[[tu_token.Client], object]) -> None:
    class Forgetful(tu_token.Client):
        def __init__(self) -> None:
            pass

    client = Forgetful()
    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\.\.\.\) first"):
        call(client)
    assert "without options" in repr(client)
    client.close()
    del client
    gc.collect()


def test_closing_a_client_that_failed_to_initialise() -> None:
    class Closing(tu_token.Client):
        def __del__(self) -> None:
            self.close()
            closed.append(True)

    closed: list[bool] = []
    with pytest.raises(tu_token.ConfigError):
        Closing(timeout="soon")
    gc.collect()
    assert closed == [True]


def test_a_client_is_made_once(emulator: Emulator) -> None:
    client = Tenant("north")
    token = client.token()
    with pytest.raises(RuntimeError, match="already"):
        client.__init__("south", scope="site.view")  # type: ignore[misc]
    assert client.tenant == "north" and client.token() is token


def test_one_of_many_threads_makes_it() -> None:
    def make() -> None:
        start.wait()
        try:
            client.__init__()  # type: ignore[misc]
        except RuntimeError:
            refused.append(True)

    client = tu_token.Client.__new__(tu_token.Client)
    start, refused = threading.Barrier(8), list[bool]()
    in_threads(8, make)
    assert len(refused) == 7 and client.stats().waits == 0


def test_what_help_shows() -> None:
    parameters = inspect.signature(tu_token.Client).parameters
    assert list(parameters) == ["credentials", "on_event", "options"]
    assert list(inspect.signature(Tenant).parameters) == ["tenant", "options"]


def test_a_token_has_no_subclasses() -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (tu_token.Token,), {})


class QuotaError(tu_token.Error):
    """An exception of the program's own, marked as retryable."""

    retryable = True

    def __init__(self, tenant: str, left: int) -> None:
        super().__init__(f"{tenant} has {left} left", retry_after=5.0)
        self.tenant = tenant

    def __str__(self) -> str:
        return f"quota: {super().__str__()}"


class LinkError(tu_token.NetworkError):
    def __init__(self, link: str, *, cut: bool) -> None:
        super().__init__(f"{link} is down")
        self.cut = cut


class BareError(tu_token.Error):
    def __init__(self, number: int) -> None:
        self.number = number


@pytest.mark.parametrize("error", [QuotaError("north", 3), LinkError("lte", cut=True), BareError(5)])
def test_exceptions_of_the_programs_own(error: tu_token.Error) -> None:
    for arrived in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(arrived) is type(error) and vars(arrived) == vars(error)
        assert str(arrived) == str(error) and arrived.args == error.args
    with pytest.raises(tu_token.Error) as raised:
        raise error
    assert raised.value.retryable is not isinstance(error, BareError)
    assert (raised.value.oauth_code, raised.value.http_status) == (None, None)


class Marking:
    def __init__(self) -> None:
        self.marks = 3


class MyRequestsAuth(tu_token.RequestsAuth, Marking):
    def __init__(self, tenant: Tenant) -> None:
        super().__init__(tenant, "site.view")
        self.tenant = tenant

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Tenant"] = self.tenant.tenant
        return super().__call__(request)


class MyHttpxAuth(tu_token.HttpxAuth, Marking):
    def __init__(self, tenant: Tenant) -> None:
        super().__init__(tenant, scope="site.view")


def test_adapters_of_the_programs_own(emulator: Emulator) -> None:
    tenant = Tenant("north")
    with Echo(refusals=0) as echo:
        for_requests, for_httpx = MyRequestsAuth(tenant), MyHttpxAuth(tenant)
        assert for_requests.marks == for_httpx.marks == 3
        sent = requests.get(echo.url, auth=for_requests, timeout=10).request
        assert sent.headers["X-Tenant"] == "north"
        httpx.get(echo.url, auth=for_httpx, timeout=10)
        assert echo.authorizations == [f"Bearer {tenant.token('site.view')}"] * 2
