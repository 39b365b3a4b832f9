#!/usr/bin/env python3
"""The page of `sisa serve` in a real browser: what it shows, how it keeps up, who can use it, what it refuses.

    apt-get install chromium; pip install playwright axe-playwright-python
    scripts/page.py SISA [FOLDER]

SISA is the program. The embedded data is trained in a temporary folder and served on a free port of this machine; the browser is the system's
`chromium`. axe must find nothing in either theme. With FOLDER, pictures of the page are put there, to be looked at.
"""

import csv
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETTINGS = """
[serve]
repair = "window"
min_weight = 0.0
sign = "sign.key"
[serve.opendsr]
domain = "dsr.acme.example"
controller = "acme"
"""


class Service:
    def __init__(self, sisa, folder):
        self.sisa, self.folder = sisa, folder
        serve = [sisa, "-w", folder, "serve", "--json", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = json.loads(self.process.stdout.readline())["address"]

    def ask(self, path, body=None, method=None, key=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(self.address + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=15) == 0


def prepared(sisa, folder):
    shutil.copy(ROOT / "sisa.toml", folder)
    with open(os.path.join(folder, "sisa.toml"), "a") as file:
        file.write(SETTINGS)
    run = lambda *args: subprocess.run([sisa, "-w", folder, *args], check=True, stdout=subprocess.DEVNULL)
    run("train", str(ROOT / "data/health_visits.csv.gz"), "--seed", "1", "--quiet")
    run("keygen", os.path.join(folder, "sign.key"))


def subjects():
    """Persons of the embedded data."""
    with gzip.open(ROOT / "data/health_visits.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return list(dict.fromkeys(row["person_id"] for row in rows))


def accessible(page, when):
    """axe finds nothing, in either theme."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{when}, {theme}: {found.generate_report()}"
    page.emulate_media(color_scheme="light")


def picture(page, pictures, name):
    if not pictures:
        return
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.screenshot(path=os.path.join(pictures, f"{name}-{theme}.png"), full_page=True)
    page.emulate_media(color_scheme="light")


def shows_everything_and_fetches_nothing(browser, service, pictures):
    page = browser.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(service.address + "/")
    expect(page.locator("h1")).to_have_text("Everything is repaired.")
    expect(page.locator("#live")).to_have_text("This page keeps itself up to date.")
    assert page.locator("#grid td.cell").count() > 3 and page.locator("#grid td.tainted").count() == 0
    assert all(url.startswith(service.address + "/") for url in asked), asked
    assert said == [], said
    # What follows puts things into the page that the page itself would not.
    accessible(page, "when all is repaired")
    picture(page, pictures, "repaired")
    # What somebody would bring in is not run.
    page.evaluate("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    assert page.evaluate("window.ran === undefined"), "an inline script ran"
    page.close()


def keeps_up(browser, service, people, pictures):
    page = browser.new_page()
    page.goto(service.address + "/")
    expect(page.locator("#live")).to_have_text("This page keeps itself up to date.")
    service.ask("/v1/holds/court", {"subjects": people[3:4], "reason": "case 7/2026"}, method="PUT")
    service.ask("/v1/deletions", {"subjects": people[:1], "request": "case-1", "regulation": "gdpr"})
    identity = {"identity_type": "controller_customer_id", "identity_value": people[3], "identity_format": "raw"}
    request = {
        "regulation": "ccpa",
        "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
        "subject_request_type": "erasure",
        "submitted_time": "2026-11-26T01:00:00Z",
        "subject_identities": [identity],
    }
    service.ask("/opendsr/v2/requests", request)
    # Nothing was loaded again by hand.
    expect(page.locator("h1")).to_have_text("1 deletion is in effect and waits for its repair.")
    expect(page.locator("#said")).to_have_text("1 deletion is in effect and waits for its repair.", timeout=10000)
    expect(page.locator("tr[data-state=held]")).to_have_count(1)
    expect(page.locator("#holds tbody th")).to_have_text("court")
    cell = page.locator("#grid td.tainted").first
    expect(cell).to_have_text("T")
    assert "gradient" in cell.evaluate("e => getComputedStyle(e).backgroundImage"), "a pattern, not a colour alone"
    expect(page.locator("tr[data-state=effective] td").nth(3)).to_contain_text("in 27 days")
    accessible(page, "while a deletion waits")
    picture(page, pictures, "waiting")
    page.locator("#choice select").select_option("held")
    expect(page.locator("#requests tbody tr:visible")).to_have_count(1)
    service.ask("/v1/repair", {})
    expect(page.locator("h1")).to_have_text("Everything is repaired.", timeout=20000)
    expect(page.locator("#requests tbody tr:visible")).to_have_count(1)
    page.locator("#choice select").select_option("")
    expect(page.locator("tr[data-state=repaired]")).to_have_count(1)
    # What was measured since is there, with a mark at the deletion.
    expect(page.locator("#quality .mark")).to_have_count(1, timeout=20000)
    assert page.locator("#quality circle").count() == page.locator("#quality tbody tr").count() > 1
    accessible(page, "with quality over time")
    picture(page, pictures, "quality")
    page.close()


def checks_receipts(browser, service, folder, pictures):
    page = browser.new_page()
    page.goto(service.address + "/")
    with page.expect_download() as downloaded:
        page.get_by_label("signed receipt of case-1", exact=True).click()
    file = os.path.join(folder, "case-1.json")
    downloaded.value.save_as(file)
    key = pathlib.Path(folder, "sign.key.pub").read_text().strip()
    verdict = page.locator("#verdict")

    def check(name, key):
        page.locator("#file").set_input_files(name)
        page.locator("#key").fill(key)
        page.get_by_role("button", name="Check").click()

    check(file, key)
    expect(verdict).to_contain_text("The signature holds. Request case-1:")
    accessible(page, "with a receipt that holds")
    picture(page, pictures, "receipt")
    envelope = json.loads(pathlib.Path(file).read_text())
    tampered = os.path.join(folder, "tampered.json")
    middle = len(envelope["payload"]) // 2
    other = "A" if envelope["payload"][middle] != "A" else "B"
    envelope["payload"] = envelope["payload"][:middle] + other + envelope["payload"][middle + 1 :]
    pathlib.Path(tampered).write_text(json.dumps(envelope))
    check(tampered, key)
    expect(verdict).to_contain_text("The signature does not hold")
    check(file, "0" * 63 + "1")
    expect(verdict).not_to_contain_text("The signature holds")
    check(file, "nothing")
    expect(verdict).to_contain_text("64 hexadecimal digits")
    pathlib.Path(tampered).write_text("{}")
    check(tampered, key)
    expect(verdict).to_have_text("This file is no signed receipt.")
    page.close()


def is_used_by_keyboard_and_large(browser, service):
    page = browser.new_page(viewport={"width": 640, "height": 480})
    page.goto(service.address + "/")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent).trim()"))
    assert {"Metrics", "Shards and slices", "Deletion requests", "receipt of case-1", "Check"} <= reached, reached
    outline = page.evaluate("() => { const a = document.querySelector('#state a'); a.focus(); return getComputedStyle(a).outlineStyle }")
    assert outline != "none", outline
    # A page of 1280 at 200 %: only tables scroll sideways.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    page.close()


def works_without_a_script(browser, service, pictures):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(service.address + "/")
    expect(page.locator("h1")).to_have_text("Everything is repaired.")
    expect(page.locator("#requests tbody tr")).to_have_count(2)
    assert page.locator("#quality tbody tr").count() > 1
    expect(page.locator("#quality svg")).to_be_visible()
    expect(page.locator("#live")).to_have_text("This page shows what was when it was loaded.")
    expect(page.locator("#receipt code")).to_contain_text("sisa receipt --check")
    expect(page.locator("#check")).to_be_hidden()
    expect(page.locator("#choice")).to_be_hidden()
    picture(page, pictures, "no-script")
    context.close()


def asks_for_a_key(browser, service, people):
    made = subprocess.run([service.sisa, "-w", service.folder, "key", "add", "auditor", "--role", "audit"], check=True, capture_output=True, text=True)
    key = made.stdout.strip()
    desk = subprocess.run([service.sisa, "-w", service.folder, "key", "add", "desk", "--role", "delete"], check=True, capture_output=True, text=True)
    context = browser.new_context(http_credentials={"username": "anyone", "password": key})
    page = context.new_page()
    page.goto(service.address + "/")
    expect(page.locator("#live")).to_have_text("This page keeps itself up to date.")
    service.ask("/v1/deletions", {"subjects": people[1:2], "request": "case-2"}, key=desk.stdout.strip())
    expect(page.locator("h1")).to_have_text("1 deletion is in effect and waits for its repair.")
    # When the service is gone, the page says that it may be old.
    service.stop()
    expect(page.locator("#live")).to_contain_text("may be old", timeout=15000)
    context.close()


def main():
    sisa = os.path.abspath(sys.argv[1])
    pictures = sys.argv[2] if len(sys.argv) > 2 else None
    folder = tempfile.mkdtemp(prefix="sisa-page-")
    begun = time.monotonic()
    try:
        prepared(sisa, folder)
        people = subjects()
        service = Service(sisa, folder)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                shows_everything_and_fetches_nothing(browser, service, pictures)
                keeps_up(browser, service, people, pictures)
                checks_receipts(browser, service, folder, pictures)
                is_used_by_keyboard_and_large(browser, service)
                works_without_a_script(browser, service, pictures)
                asks_for_a_key(browser, service, people)
                browser.close()
        finally:
            if service.process.poll() is None:
                service.process.kill()
                service.process.wait()
    finally:
        shutil.rmtree(folder)
    print(f"the page does what it should in a browser ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
