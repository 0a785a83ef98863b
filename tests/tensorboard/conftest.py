"""One TensorBoard each way, and one browser, for all tests of the tab."""

import contextlib
import json

import pytest

from tests.support.browser import Tab, chromium, tensorboard
from tests.support.tab_logs import RUNS, write_all
from tests.support.tab_pages import FLAGS, ROUTES, get, wait_until


@pytest.fixture(scope="package")
def logs(tmp_path_factory):
    root = tmp_path_factory.mktemp("logs")
    write_all(root)
    return root


@pytest.fixture(scope="package")
def addresses(logs):
    """Where TensorBoard answers that was started in one way or the other."""
    with contextlib.ExitStack() as stack:
        found = {
            how: stack.enter_context(tensorboard(logs, "--reload_interval=5", *flags))
            for how, flags in FLAGS.items()
        }
        for address in found.values():
            wait_until(
                lambda a=address: len(json.loads(get(f"{a}{ROUTES}runs"))) == RUNS
            )
        yield found


@pytest.fixture
def address(addresses):
    return addresses["fast"]


@pytest.fixture(scope="package")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def opened(browser):
    """Tabs that are open, by the address of their TensorBoard."""
    found = {}
    yield found
    for tab in found.values():
        tab.close()


@pytest.fixture
def tab(browser, addresses, opened, request):
    """The tab of the fast TensorBoard, or the one that `both_ways` asks for."""
    address = addresses[getattr(request, "param", "fast")]
    if address in opened:
        opened[address].begin_anew()
    else:
        opened[address] = Tab(browser, address)
    yield opened[address]
    assert opened[address].complaints == []
