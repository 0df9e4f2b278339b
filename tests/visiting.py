"""People who use the studio: tabs in real Chromium, in both languages."""

from typing import Any, Self
from urllib.parse import urlsplit

from lexloom.serve.studio.page import page_texts

LOCALES = {"en": "en-GB", "zh": "zh-CN"}
PANELS = ("write", "chat", "rewrite", "fill", "classify", "tag", "relations", "answer", "similarity", "explain")
"""Where one types something, or takes the example."""
SHOWS = {"runs": "svg.curve", "compare": "table.compared", "vote": "button.first"}
"""The others, and what is to be seen in them."""
DOES = {"chat": "chat.send"}
COMPLAINTS = ("error", "warning")
WAIT_MS = 60_000


class Visit:
    """One tab, and all that it asked for and complained about; at its end nothing may be wrong with either."""

    def __init__(self, browser: Any, address: str, language: str = "en", **options: Any) -> None:
        self.texts = {key: words[language] for key, words in page_texts().items()}
        self.context = browser.new_context(locale=LOCALES[language], **options)
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda told: self.complaints.append(told.text) if told.type in COMPLAINTS else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.set_default_timeout(WAIT_MS)
        self.address = address
        self.page.goto(address)
        self.page.wait_for_selector("nav a, dialog[open]")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.context.close()
        if kind is None:
            assert not self.complaints
            hosts = {urlsplit(url).netloc for url in self.asked if not url.startswith(("data:", "blob:"))}
            assert hosts == {urlsplit(self.address).netloc}, "a request left for another place"

    def open(self, name: str) -> Any:
        """The panel, chosen in the menu."""
        self.page.locator(f'nav a[href="#{name}"]').click()
        panel = self.page.locator(f"#panel-{name}")
        panel.get_by_role("heading", level=1).wait_for()
        return panel

    def button(self, panel: Any, key: str) -> Any:
        """The button that says this."""
        return panel.get_by_role("button", name=self.texts[key], exact=True)

    def run(self, panel: Any, name: str) -> None:
        """Press what the panel is for, and wait until it is done."""
        self.press(panel, name)
        assert not panel.locator(".error").first.text_content()

    def press(self, panel: Any, name: str) -> None:
        """The same, whatever the server says."""
        button = self.button(panel, DOES.get(name, f"{name}.do"))
        button.click()
        button.and_(self.page.locator(":not([aria-disabled])")).wait_for()

    def use(self, name: str) -> Any:
        """The panel, with an answer to its example, or what it shows by itself."""
        panel = self.open(name)
        if name in PANELS:
            self.button(panel, "example").click()
            self.run(panel, name)
        else:
            panel.locator(SHOWS[name]).first.wait_for()
        return panel
