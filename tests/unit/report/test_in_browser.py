"""The page in a browser: no errors, accessible by axe-core's rules, usable by keyboard.

Chromium is Debian's, driven by Playwright; where there is none, this is skipped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

from testbed.report.building import Options, build, page  # noqa: E402
from testbed.report.listing import Entry  # noqa: E402
from testbed.report.page import listed  # noqa: E402

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def written(simulated, tmp_path_factory) -> Path:
    """Return a page of one repetition, with hostile strings in it."""
    root = tmp_path_factory.mktemp("page")
    folder = Path(shutil.copytree(simulated, root / "folder"))
    for run in ("0003", "0004"):
        shutil.rmtree(folder / "runs" / run)
    file = folder / "experiment.json"
    record = json.loads(file.read_text())
    record["name"] = "</title></script><script>window.hit = 1</script>"
    record["spec"]["description"] = "<img src=x onerror='window.hit = 1'>"
    file.write_text(json.dumps(record))
    built, damage = build([folder], Options())
    target = root / "page.html"
    target.write_text(page(built, damage))
    return target


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    profile = tmp_path_factory.mktemp("profile")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=[*FLAGS],
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


@pytest.fixture
def opened(browser, written) -> Iterator[Any]:
    """Return the page, open; it must not complain, and not load anything."""
    said: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(written.as_uri())
    yield tab
    tab.close()
    assert said == [written.as_uri()]


def explore(tab: Any) -> Any:
    """Scroll to the charts, and return the first."""
    tab.locator("#x1-time").scroll_into_view_if_needed()
    chart = tab.locator("#x1-time ~ .explorer .charts [tabindex]").first
    chart.wait_for()
    return chart


@pytest.mark.parametrize(
    ("scheme", "rules"), [("light", {}), ("dark", {"runOnly": ["color-contrast"]})]
)
def test_axe_finds_nothing(opened, scheme, rules) -> None:
    opened.emulate_media(color_scheme=scheme)
    explore(opened)
    opened.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = axe.Axe().run(opened, options={"resultTypes": ["violations"], **rules})
    assert found.violations_count == 0, found.generate_report()


def test_hostile_strings_run_nothing(opened) -> None:
    explore(opened)
    assert opened.evaluate("window.hit") is None
    assert "window.hit" in opened.title()


def test_keys_move_the_cursor_and_zoom(opened) -> None:
    chart = explore(opened)
    chart.focus()
    opened.keyboard.press("Home")
    for _ in range(5):
        opened.keyboard.press("ArrowRight")
    status = opened.locator(".explorer [role=status]").first
    said = status.inner_text()
    assert "read by the application" in said
    assert said.endswith("Mbit/s")
    time = chart.locator(".u-legend .u-value").first
    assert time.inner_text() == said.partition(":")[0]
    opened.keyboard.press("+")  # zooms in; the cursor stays where it was
    opened.evaluate("new Promise(requestAnimationFrame)")
    playwright.expect(time).to_have_text(said.partition(":")[0])
    opened.keyboard.press("0")
    opened.keyboard.press("End")
    assert float(time.inner_text().removesuffix(" s")) > 2.9


def test_the_keyboard_reaches_everything(opened) -> None:
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    opened.keyboard.press("Enter")
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.closest('nav') !== null")
    unreachable = opened.evaluate(
        "[...document.querySelectorAll('a, button, summary, input')]"
        ".filter((each) => each.tabIndex < 0).length"
    )
    assert unreachable == 0


def test_runs_can_be_chosen(opened) -> None:
    explore(opened)
    explorer = opened.locator(".explorer").first
    headings = explorer.locator("h4")
    before = headings.count()
    assert before == 2
    explorer.locator("input[type=checkbox]").first.uncheck()
    assert headings.count() == 1
    explorer.locator("input[type=checkbox]").first.check()
    assert headings.count() == 2


def test_charts_say_where_curves_are_cut_off_and_how_high_they_are(browser, written) -> None:
    tab = browser.new_page()
    tab.route(
        "**/*",
        lambda route: route.fulfill(
            body=written.read_text().replace('"limit":null', '"limit":1e6'),
            content_type="text/html",
        ),
    )
    tab.goto("http://localhost/")
    explore(tab)
    titles = tab.locator("#x1-time ~ .explorer .charts h5").all_inner_texts()
    cut = [title for title in titles if "cut off at ▲, up to" in title]
    assert cut
    assert all(title.startswith(("Goodput", "Congestion")) for title in cut)
    tab.close()


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_nothing_is_wider_than_the_window(opened, width) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_it_can_be_read_without_javascript(browser, written) -> None:
    tab = browser.new_page()
    browser.new_cdp_session(tab).send("Emulation.setScriptExecutionDisabled", {"value": True})
    tab.goto(written.as_uri())
    assert tab.locator("svg.figure").count() == 5
    assert not tab.locator(".explorer").first.is_visible()
    assert tab.locator("#x1-results").is_visible()
    tab.close()


def test_paper_has_dark_ink_and_no_controls(opened) -> None:
    opened.emulate_media(media="print", color_scheme="dark")
    explored = opened.locator(".explorer").first
    assert not explored.is_visible()
    assert not opened.locator("nav").first.is_visible()
    ink, paper = opened.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (ink, paper) == ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
    assert opened.pdf(format="A4").startswith(b"%PDF")


def test_progress_is_shown_without_loading_the_page_again(browser, simulated) -> None:
    built, damage = build([simulated], Options())
    text = page(built, damage, following=True)
    hostile = "<img src=x onerror='window.hit = 1'>"
    answers = [
        [{"over": over, "planned": 4, "current": [hostile], "latest": [f"run {over}"]}]
        for over in (1, 2)
    ]
    told = []

    def answer(route: Any) -> None:
        if "/progress.json" not in route.request.url:
            told.append("page")
            route.fulfill(body=text, content_type="text/html")
        else:
            told.append("progress")
            route.fulfill(json=answers.pop(0) if answers else [])

    tab = browser.new_page()
    tab.route("**/*", answer)
    tab.goto("http://localhost/report?folder=it")
    tab.get_by_text("1 of 4 runs are over").wait_for()
    assert tab.locator(".now").inner_text() == f"Now: {hostile}"
    tab.get_by_text("2 of 4 runs are over").wait_for()
    assert tab.get_by_role("button", name="Show them in the page").count() == 1
    assert tab.evaluate("window.hit") is None
    assert told[:3] == ["page", "progress", "progress"]
    with tab.expect_navigation():  # the run ends
        pass
    tab.close()


def test_the_list_of_folders_is_accessible(browser, tmp_path) -> None:
    """The page of `testbed serve`, as it is written: it has no script."""
    entries = [
        Entry(id=f"<b>/{state}", state=state, name="<script>window.hit = 1</script>")
        for state in ("running", "complete", "unfinished", "damaged")
    ]
    choices = {name: [f"{name} 1", "</select>"] for name in ("state", "machine", "name", "stack")}
    filters = dict.fromkeys(choices, "")
    target = tmp_path / "list.html"
    target.write_text(listed(entries, "4 of 4 folders", '"><', filters, choices, {"Older": "?x"}))
    tab = browser.new_page()
    tab.goto(target.as_uri())
    assert tab.locator("input[type=checkbox]").count() == 4
    assert tab.locator("script").count() == 0
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(tab, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
    tab.close()
