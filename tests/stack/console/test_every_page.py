"""What holds for every page: no barrier, the strict policy, the keyboard, no jumps, and faults told where they are."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Browser, expect

from stack.console.page import PAGES, Console
from support.central import Csms

REACHABLE = """() => {
  const kinds = "a[href], button:enabled, input, select, textarea, summary, [tabindex='0']";
  const all = [...document.querySelectorAll(kinds)];
  const shown = all.filter((each) => each.checkVisibility() && each.getBoundingClientRect().width > 1);
  shown.forEach((each, i) => { each.dataset.reachable = i; });
  return shown.map((each) => each.outerHTML.slice(0, 120));
}"""
"""All that one can operate by a pointer, each marked with its number."""
FOCUSED = """() => {
  const here = document.activeElement;
  const ring = here === document.body ? "" : getComputedStyle(here).outlineStyle;
  return [here.dataset.reachable ?? null, ring];
}"""
"""The number of what has the focus, and how it is outlined."""
LAYOUT_SHIFT = """new Promise((done) => {
  let sum = 0;
  const observer = new PerformanceObserver((list) => list.getEntries().forEach((each) => { sum += each.value; }));
  observer.observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 500);
})"""
MAX_LAYOUT_SHIFT = 0.1
""""Good" by the Cumulative Layout Shift of browsers."""


async def test_a_wrong_password_is_told_and_log_out_ends_the_session(csms: Csms, console: Console) -> None:
    page = console.page
    if await page.get_by_role("button", name="More").is_visible():
        await page.get_by_role("button", name="More").click()
        await console.seen("menu")
    await page.get_by_role("button", name="Log out").locator("visible=true").click()
    await page.get_by_label("Name").fill("admin")
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await console.seen("log-in")
    console.complaints.clear()  # the 401 itself, which a browser tells of
    await page.goto(f"{console.base}/#/users")
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()


async def test_every_page_is_seen_by_axe_and_fits_its_width(csms: Csms, site: None, console: Console) -> None:
    for path, heading in PAGES.items():
        await console.open(path, heading)
        await expect(console.page.locator("[aria-busy=true]")).to_have_count(0)
        await console.seen(path.replace("/", "-").replace("?", "-").replace("=", "-") or "overview")
        for scheme in ("dark", "light"):
            await console.page.emulate_media(color_scheme=scheme)
            await console.has_no_barrier(f"{path} in {scheme}")
        await console.page.emulate_media(color_scheme="null")
    await console.page.keyboard.press("?")
    await console.seen("help")


async def test_every_page_keeps_to_the_strict_content_security_policy(csms: Csms, site: None, browser: Browser) -> None:
    context = await browser.new_context()
    console = Console(await context.new_page(), f"http://127.0.0.1:{csms.central.api_port}", "policy")
    await console.log_in(csms.first_password or "")
    for path, heading in PAGES.items():
        await console.open(path, heading)
    assert not console.complaints
    await context.close()


async def test_a_page_takes_the_focus_as_it_is_shown_and_never_back_from_its_user(csms: Csms, console: Console) -> None:
    focused = await console.page.evaluate("""new Promise((told) => {
      new MutationObserver(() => {
        if (document.querySelector("h1")?.textContent === "Fleet") told(document.activeElement.textContent);
      }).observe(document.body, { childList: true, subtree: true });
      location.hash = "#/fleet";
    })""")
    assert focused == "Fleet"


async def test_a_list_is_used_by_keyboard_alone(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    await page.keyboard.press("g")
    await page.keyboard.press("f")
    await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("gate")
    await page.keyboard.press("Escape")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="Gate")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Health")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_everything_on_every_page_is_reached_by_the_tab_key_and_shows_the_focus(
    csms: Csms, site: None, browser: Browser
) -> None:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    console = Console(await context.new_page(), f"http://127.0.0.1:{csms.central.api_port}", "keyboard")
    page = console.page
    await page.goto(console.base)
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.keyboard.type("admin")
    await page.keyboard.press("Tab")
    await page.keyboard.type(csms.first_password or "")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    for path, heading in PAGES.items():
        await console.open(path, heading)
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        await page.evaluate("document.activeElement.blur()")
        reachable: list[str] = await page.evaluate(REACHABLE)
        left = set(range(len(reachable)))
        for _ in range(len(reachable) + 10):
            await page.keyboard.press("Tab")
            number, outline = await page.evaluate(FOCUSED)
            if number is not None:
                assert outline not in {"", "none"}, (path, reachable[int(number)])
                left.discard(int(number))
        assert not left, (path, [reachable[number] for number in sorted(left)])
    assert not console.complaints
    await context.close()


async def test_bad_input_is_told_where_it_is_given(csms: Csms, site: None, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    console, dialog = Console(page, f"http://127.0.0.1:{csms.central.api_port}", "bad"), page.get_by_role("dialog")
    await console.log_in(csms.first_password or "")
    await console.open("id-tags", "Id tags")
    await page.get_by_role("button", name="Import CSV").click()
    bad, good = b"id_tag,status\nA1,Nonsense\n", b"id_tag,status\nA1,Accepted\nTAG1,Blocked\n"
    for content in (bad, good):
        table: Any = {"name": "tags.csv", "mimeType": "text/csv", "buffer": content}
        await dialog.locator("input[type=file]").set_input_files(table)
        await dialog.get_by_role("button", name="Preview").click()
        if content is bad:
            await expect(dialog.get_by_role("alert")).to_contain_text("line 2: status: Input should be")
    await expect(dialog).to_contain_text("1 new, 1 changed, 0 unchanged.")
    await expect(dialog.get_by_role("row", name="TAG1")).to_contain_text("status: Accepted → Blocked")
    await dialog.get_by_role("button", name="Import").click()
    await expect(dialog).to_have_count(0)  # it lists the same rows
    await expect(page.get_by_role("cell", name="A1", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Add id tag").click()
    await dialog.get_by_label("Id tag").fill("A1")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_have_text("A1 is on file already. Edit it in the list.")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Edit A1").click()
    await dialog.get_by_role("button", name="Remove").click()
    await expect(dialog).to_contain_text("It is then unknown.")
    await dialog.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("cell", name="A1")).to_have_count(0)
    async with csms.charger("CP1") as charger:
        await console.open("charge-points/CP1", "Gate")
        await page.get_by_role("button", name="Reserve").click()
        await dialog.get_by_label("Id tag").fill("TAG1")
        await dialog.get_by_label("Until").fill("2020-01-01T00:00")
        await dialog.get_by_role("button", name="Reserve a connector").click()
        await expect(dialog.get_by_role("alert")).to_have_text("The reservation must end in the future.")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Unlock").click()
        await dialog.get_by_role("button", name="Unlock a connector").click()
        frame = await charger.expect("UnlockConnector")
        await charger.send_raw(json.dumps([4, frame[1], "NotSupported", "no motor", {}]))
        await expect(dialog.get_by_role("alert")).to_have_text("The charge point answered with an error: NotSupported")
    await page.close()


async def test_the_first_data_of_a_page_moves_nothing(csms: Csms, site: None, console: Console) -> None:
    page = console.page
    for path in ("", "fleet", "sessions", "sites", "charge-points/CP1", "sessions/1"):
        await console.open(path, PAGES[path])
        await page.reload()
        await expect(page.get_by_role("heading", name=PAGES[path], exact=True)).to_be_visible()
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert await page.evaluate(LAYOUT_SHIFT) < MAX_LAYOUT_SHIFT, path
