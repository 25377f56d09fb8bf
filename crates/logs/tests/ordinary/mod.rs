//! Requests of people and programs who mean no harm, made from the routes of real applications; the same numbers give the same requests.

/// A generator of numbers (xorshift64*); no secrets.
pub(crate) struct Numbers(u64);

impl Numbers {
    /// From a seed that is not zero.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below this.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(bits).unwrap_or(0) % bound
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all.get(self.below(all.len())).copied().unwrap_or_default()
    }
}

/// What people type into a search box.
const PROSE: &[&str] = &[
    "select a union rep from the members",
    "drop the table at O'Brien's",
    "it's a dog's life",
    "rock 'n' roll or jazz and blues",
    "where is the order by date page",
    "update the set list from 1999",
    "how to insert into a list",
    "\"exact phrase\" or \"other one\"",
    "boys' and girls' clothes",
    "is 5 > 3 and 2 < 4?",
    "the cat & the hat; a history",
    "100% cotton",
    "salt & pepper <3",
    "who let the dogs out?",
    "like a rolling stone",
    "having a party",
    "sleep (film)",
    "l'\u{e9}t\u{e9} o\u{f9} l'on dort",
    "\u{4f60}\u{597d} \u{4e16}\u{754c}",
    "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}!",
    "caf\u{e9} \u{2014} cr\u{e8}me br\u{fb}l\u{e9}e",
    "union street, san francisco",
    "execute (verb)",
    "cast iron; convert inches to cm",
    "Jack's -- the best pizza",
    "$100 or less",
    "AT&T vs. R&D",
    "C++ && C#",
    "null and void",
    "group by age",
    "a/b testing",
    "50/50 chance",
    "grep for dummies",
    "find my phone",
    "man page of bash",
    "root vegetables",
    "what is /etc/passwd",
    "javascript: the good parts",
    "alert fatigue",
    "script for a play",
];
/// What people paste into the search of a site for code.
const CODE: &[&str] = &[
    "for (int i = 0; i < 10; i++) { sum += a[i]; }",
    "SELECT name FROM users WHERE id = 5 ORDER BY name",
    "SELECT count(*), max(price) FROM items GROUP BY kind HAVING count(*) > 1",
    "INSERT INTO t (a, b) VALUES (1, 'x')",
    "<div class=\"row\" id='a'>text</div>",
    "<script src=\"app.js\"></script>",
    "<a href=\"#\" onclick=\"save()\">",
    "document.getElementById('x').value",
    "console.log('hello')",
    "function add(a, b) { return a + b; }",
    "const f = (x) => x * 2;",
    "if (a == 'x' || b != 'y') return;",
    "printf(\"%s\\n\", name);",
    "#include <stdio.h>",
    "echo $HOME && ls -la | grep foo",
    "cat file | sort | uniq -c",
    "curl -fsSL https://a.example/x | tar xz",
    "{{ user.name }}",
    "{% if a %}b{% endif %}",
    "<?php echo $x; ?>",
    "$foo->bar($baz)",
    "import os; print(os.environ)",
    "def f(x): return x**2",
    "#!/bin/sh",
    "git commit -m 'fix'",
    "chmod +x run.sh",
    "x = [i for i in range(10)]",
    "SELECT * FROM a UNION SELECT * FROM b",
    "while (true) { }",
    "${HOME}/bin",
    "background: url('x.png')",
    "try { x() } catch (e) {}",
    "../lib/util.js",
    "C:\\Windows\\System32",
    "std::vector<int> v;",
    "fn main() { println!(\"hi\"); }",
    "a && b || c",
    "regex ^[a-z]+$",
];
/// Formulas.
const MATH: &[&str] = &[
    "x^2 + y^2 = 1", "f(x)=(x+1)(x-2)", "sin(x)/cos(x)", "\\frac{1}{2}", "e^{i\\pi}+1=0", "a<=b and b<=c", "2*(3+4)=14", "|x| < 1",
    "{1,2,3}", "\\sum_{k=1}^{n} k^2", "n! / (k!(n-k)!)", "1 or 2 = 3", "P(A|B)", "x -> y", "sqrt(16)",
];
const NAMES: &[&str] = &[
    "Conan O'Brien", "Anne-Marie d'Arc", "Jos\u{e9} da Silva", "M\u{fc}ller & Sohn", "Procter & Gamble", "J. R. Smith", "Smith, John",
    "Lee (Bruce)", "D'Angelo", "\u{738b}\u{5c0f}\u{660e}",
];
const TITLES: &[&str] = &[
    "Main_Page", "Select_(SQL)", "It's_a_Wonderful_Life", "C%2B%2B", "AC/DC", "Special:Search", "User_talk:Bob", "File:Photo_(1).jpg",
    "Category:1990s", "What%3F", "%22Heroes%22_(album)", "Caf%C3%A9", "Rock_%26_Roll", "Union_(set_theory)", "Help:Editing", "Talk:Sleep",
];
const WORDS: &[&str] = &[
    "news", "contact", "about-us", "products", "red-shoes", "2026", "blog", "archive", "home", "en", "de", "cart", "checkout", "category",
    "tag", "feed", "page", "images", "assets", "static",
];
const ENDS: &[&str] = &["css", "js", "png", "jpg", "svg", "woff2", "ico", "webp", "html", "xml", "json", "pdf"];
const SITES: &[&str] = &[
    "https://a.example/",
    "https://www.b.example/path/page?id=5&lang=en",
    "https://shop.c.example/?utm_source=news&sort=price#top",
    "http://d.example:8080/x",
    "https://e.example/search?q=it%27s",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.9.1",
    "python-requests/2.32.3",
    "Go-http-client/2.0",
    "WordPress/6.6.2; https://a.example",
    "-",
    "Nextcloud-android/3.29",
    "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 5 subscribers)",
];

/// As a browser encodes a value of a form.
fn form(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| match byte {
        b' ' => out + "+",
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => format!("{out}{}", byte as char),
        byte => format!("{out}%{byte:02X}"),
    })
}

/// As a browser encodes what is typed into its address bar: less.
fn typed(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| match byte {
        b' ' | b'"' | b'<' | b'>' | b'#' | b'%' | b'&' | b'+' | ..=0x1f | 0x7f.. => format!("{out}%{byte:02X}"),
        byte => format!("{out}{}", byte as char),
    })
}

fn base64(numbers: &mut Numbers, length: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..length).map(|_| char::from(LETTERS[numbers.below(LETTERS.len())])).collect()
}

fn hex(numbers: &mut Numbers, length: usize) -> String {
    (0..length).map(|_| char::from(b"0123456789abcdef"[numbers.below(16)])).collect()
}

/// Words for a search, one of the kinds.
fn search(numbers: &mut Numbers) -> String {
    let kinds = [PROSE, PROSE, CODE, MATH, NAMES];
    let kind = kinds[numbers.below(kinds.len())];
    let mut text = numbers.of(kind).to_owned();
    if numbers.below(4) == 0 {
        text = format!("{text} {}", numbers.of(PROSE));
    }
    if numbers.below(50) == 0 {
        text = vec![text.as_str(); 20].join(" ");
    }
    if numbers.below(2) == 0 { form(&text) } else { typed(&text) }
}

/// Path and query of one request.
#[allow(clippy::too_many_lines)] // one arm an application
pub(crate) fn target(numbers: &mut Numbers) -> String {
    let number = numbers.below(100_000);
    match numbers.below(34) {
        0..=4 => format!("/{}/{}.{}?ver={}.{}", numbers.of(WORDS), numbers.of(WORDS), numbers.of(ENDS), number % 10, number % 7),
        5 => format!("/{}/{}/", numbers.of(WORDS), numbers.of(WORDS)),
        6 => format!("/?s={}", search(numbers)),
        7 => format!("/search?q={}&page={}", search(numbers), number % 9),
        8 => format!("/index.php?title={}&action=edit&section={}", numbers.of(TITLES), number % 9),
        9 => format!("/index.php?search={}&title=Special:Search&profile=default&fulltext=1&ns0=1", search(numbers)),
        10 => format!("/wiki/{}", numbers.of(TITLES)),
        11 => format!(
            "/load.php?lang=en&modules=site.styles%7Cext.cite.styles%7Cskins.vector&only=styles&skin=vector&version={}",
            hex(numbers, 5)
        ),
        12 => format!("/api.php?action=query&format=json&list=search&srsearch={}&formatversion=2&origin=*", search(numbers)),
        13 => format!("/wp-admin/admin-ajax.php?action=heartbeat&_wpnonce={}&post={number}", hex(numbers, 10)),
        14 => format!("/wp-json/wp/v2/posts?per_page=10&_embed=1&_fields=id,title,link&search={}", search(numbers)),
        15 => format!("/wp-login.php?redirect_to={}&reauth=1", form(numbers.of(SITES))),
        16 => format!("/wp-admin/load-styles.php?c=0&dir=ltr&load%5Bchunk_0%5D=dashicons,admin-bar,common,forms&ver=6.6.{}", number % 9),
        17 => {
            format!("/wp-comments-post.php?author={}&comment={}&url={}", form(numbers.of(NAMES)), search(numbers), form(numbers.of(SITES)))
        }
        18 => {
            format!("/phpmyadmin/index.php?route=/sql&db=shop&table=users&sql_query={}&token={}", form(numbers.of(CODE)), hex(numbers, 32))
        }
        19 => format!("/phpmyadmin/js/dist/functions.js?v=5.2.{}", number % 9),
        20 => format!(
            "/adminer.php?username=root&db=shop&select=items&columns%5B0%5D%5Bfun%5D=&where%5B0%5D%5Bcol%5D=name&where%5B0%5D%5Bop%5D=LIKE+%25%25&where%5B0%5D%5Bval%5D={}&order%5B0%5D=id&limit=50",
            form(numbers.of(NAMES))
        ),
        21 => format!("/adminer.php?username=root&db=shop&sql={}&history=1", form(numbers.of(CODE))),
        22 => format!("/login?next={}", form(numbers.of(SITES))),
        23 => format!(
            "/oauth/authorize?response_type=code&client_id={}&redirect_uri={}&scope=openid+email&state={}&code_challenge_method=S256",
            hex(numbers, 12),
            form(numbers.of(SITES)),
            form(&base64(numbers, 43))
        ),
        24 => format!("/session?token={}%3D%3D&sid={}", form(&base64(numbers, 86)), hex(numbers, 40)),
        25 => format!(
            "/api/items?filter={}&limit=20&offset={number}",
            form(&format!("{{\"name\":\"{}\",\"price\":{{\"min\":{number},\"max\":null}},\"tags\":[\"a\",\"b\"]}}", numbers.of(WORDS)))
        ),
        26 => format!(
            "/api/v1/query_range?query={}&start=1795860000&end=1795863600&step=15",
            form("sum(rate(http_requests_total{job=\"api\",code=~\"5..\"}[5m])) by (code) > 0")
        ),
        27 => format!(
            "/graphql?query={}&variables=%7B%22id%22%3A{number}%7D",
            form("query($id: ID!) { user(id: $id) { name, posts(first: 5) { title } } }")
        ),
        28 => format!("/paste/search?q={}", form(numbers.of(CODE))),
        29 => format!(
            "/track?url={}&ref={}&title={}&res=1920x1080&t={number}",
            form(numbers.of(SITES)),
            form(numbers.of(SITES)),
            search(numbers)
        ),
        30 => format!(
            "/contact?name={}&email=bob%2Bnews%40a.example&subject={}&message={}",
            form(numbers.of(NAMES)),
            search(numbers),
            search(numbers)
        ),
        31 => format!("/map/{}/{}?bbox=8.5,47.3,8.6,47.4&date=2026-11-28T10%3A00%3A00%2B01%3A00&z={}", number % 18, number, number % 18),
        32 => format!("/user/repo/{}/branch/main/.gitignore?display=source", if number.is_multiple_of(2) { "src" } else { "raw" }),
        _ => format!(
            "/shop/list?category={}&sort=-price&color%5B%5D=red&color%5B%5D=blue&price=10..50&view=grid;compact&size=38/40",
            numbers.of(WORDS)
        ),
    }
}

/// A line of an access log in `combined`, as nginx writes it.
pub(crate) fn line(numbers: &mut Numbers) -> String {
    let target = target(numbers).replace('\\', "\\x5C").replace('"', "\\x22");
    let status = [200, 200, 200, 200, 200, 304, 302, 404][numbers.below(8)];
    // A bookmark of a panel that is gone looks like a search for it; everything else may be missing.
    let status = if target.contains("admin") || target.contains("wp-") { 200 } else { status };
    let referer = if numbers.below(2) == 0 { "-".to_owned() } else { numbers.of(SITES).to_owned() };
    let address = format!("198.51.{}.{}", numbers.below(256), numbers.below(256));
    let agent = numbers.of(AGENTS);
    format!(
        r#"{address} - - [28/Nov/2026:10:00:00 +0000] "GET {target} HTTP/1.1" {status} {} "{referer}" "{agent}""#,
        numbers.below(90_000)
    )
}
