"""crawl.py LINES: walks four web applications as people do: logs in, follows links, searches, edits, until nginx has logged so many requests."""
import http.cookiejar, html.parser, random, sys, threading, time, urllib.parse, urllib.request

WANTED = int(sys.argv[1])
LOG = "/var/log/nginx/access.log"
AGENTS = ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"]
TEXTS = ["free software", "O'Brien", "C++ templates", "select", "union station", "order by date", "what is <b>?", "50% off", "R&D", "AT&T", "1 + 1 = 2", "it's \"quoted\"",
    "how to drop a table in mysql", "select name from users where id = 1", "cat /etc/hosts", "../", "a/b", "Zürich", "日本語", "script", "alert", "javascript", "$10", "#tag",
    "sleep", "or 1", "-- none --", "x' y", "ls -la", "grep -r foo .", "eval", "user@example.com", "https://example.com/?a=1&b=2", "{{name}}", "${HOME}", "100%", "null", "%s"]
PLAIN = ["Main", "orders", "free", "Zürich", "2026-11-28", "42", "user groups", "O'Brien", "a-b_c"]
# Where people write sentences; elsewhere they write names.
SENTENCES = {"s", "search", "q", "query", "title", "comment", "content", "excerpt", "description", "post_title", "wpTextbox1", "wpSummary", "wpNewTitle", "note", "sql_query"}
START = {"wordpress.test": ["/", "/wp-admin/", "/?s=free+software", "/feed/", "/wp-json/"],
    "wiki.test": ["/index.php?title=Main_Page", "/index.php?title=Special:RecentChanges", "/index.php?title=Special:AllPages", "/api.php?action=query&list=allpages&format=json"],
    "pma.test": ["/index.php?route=/database/structure&db=shop", "/index.php?route=/sql&db=shop&table=orders&pos=0"],
    "adminer.test": ["/?username=app&db=shop", "/?username=app&db=shop&select=orders", "/?username=app&db=shop&sql="]}


class Page(html.parser.HTMLParser):
    """Links, and forms with their fields."""
    def __init__(self, text):
        super().__init__()
        self.links, self.forms, self.form = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag in ("a", "link") and a.get("href"): self.links.append(a["href"])
        elif tag in ("img", "script") and a.get("src"): self.links.append(a["src"])
        elif tag == "form": self.form = [a.get("action") or "", (a.get("method") or "get").lower(), []]; self.forms.append(self.form)
        elif self.form and tag in ("input", "textarea", "select") and a.get("name"):
            self.form[2].append((a["name"], a.get("type", "text" if tag != "select" else "select"), a.get("value") or ""))

    def handle_endtag(self, tag):
        if tag == "form": self.form = None


class Visitor(threading.Thread):
    def __init__(self, number):
        super().__init__(daemon=True)
        self.random = random.Random(number)
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.agent, self.refused = AGENTS[number % len(AGENTS)], 0

    def ask(self, url, data=None, referer=None):
        headers = {"User-Agent": self.agent}
        if referer: headers["Referer"] = referer
        request = urllib.request.Request(urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]"), data, headers)
        with self.opener.open(request, timeout=60) as answer:
            kind, body = answer.headers.get("Content-Type", ""), answer.read(1 << 20)
            return Page(body.decode("utf-8", "replace")) if "html" in kind else None

    def log_in(self):
        sign = {"log": "admin", "pwd": "Long-Enough-1", "testcookie": "1"}
        steps = [("http://wordpress.test/wp-login.php", None), ("http://wordpress.test/wp-login.php", sign),
            ("http://adminer.test/", {"auth[driver]": "server", "auth[server]": "", "auth[username]": "app", "auth[password]": "app", "auth[db]": "shop"})]
        for url, fields in steps:
            try: self.ask(url, urllib.parse.urlencode(fields).encode() if fields else None)
            except OSError: pass
        try:
            page = self.ask("http://wiki.test/index.php?title=Special:UserLogin")
            self.send("http://wiki.test/index.php?title=Special:UserLogin", next(f for f in page.forms if f[1] == "post"), {"wpName": "Admin", "wpPassword": "Long-Enough-1"})
        except (OSError, StopIteration, AttributeError): pass

    def send(self, base, form, given=None):
        fields = []
        for name, kind, value in form[2]:
            if given and name in given: value = given[name]
            elif kind in ("text", "search", "textarea") and not value: value = self.random.choice(TEXTS if name in SENTENCES else PLAIN)
            elif kind in ("file", "reset", "image"): continue
            elif kind in ("submit", "checkbox", "radio") and self.random.random() < 0.5: continue
            fields.append((name, value))
        url, text = urllib.parse.urljoin(base, form[0]), urllib.parse.urlencode(fields)
        if form[1] == "post": return url, self.ask(url, text.encode(), base)
        url = url.split("?")[0] + "?" + text
        return url, self.ask(url, None, base)

    def run(self):
        if self.random.random() < 0.8: self.log_in()
        while True:
            host = self.random.choice(list(START))
            url = f"http://{host}" + self.random.choice(START[host])
            try:
                page, before = self.ask(url), None
                for _ in range(self.random.randint(3, 25)):
                    if page is None: break
                    forms = [form for form in page.forms if form[2]]
                    if forms and self.random.random() < 0.3:
                        before, (url, page) = url, self.send(url, self.random.choice(forms))
                        continue
                    links = [urllib.parse.urljoin(url, link) for link in page.links]
                    links = [link for link in links if urllib.parse.urlsplit(link).hostname in START and "logout" not in link.lower()]
                    if not links: break
                    before, url = url, self.random.choice(links)
                    page = self.ask(url, None, before)
            except (OSError, ValueError, AssertionError): self.refused += 1
            except Exception as error: print(type(error).__name__, error, url, file=sys.stderr)


def logged():
    with open(LOG, "rb") as file: return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


visitors = [Visitor(number) for number in range(6)]
for visitor in visitors: visitor.start()
told = 0
while (count := logged()) < WANTED:
    if count >= told + 5000: told = count; print(f"{count} requests", flush=True)
    time.sleep(2)
