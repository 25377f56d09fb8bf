//! Those who look like attackers and are none: nobody of them is named for an action, whatever they do all day.

use super::tests::{EVIL, Site, attack};

#[test]
fn a_search_engine_that_follows_old_links_is_not_named() {
    let mut site = Site::new();
    for n in 0..3000 {
        let path = match n % 6 {
            0 => format!("/wp-admin/post.php?post={n}"),
            1 => format!("/admin/guide/chapter-{n}"),
            2 => "/wp-login.php?redirect_to=%2Fwp-admin%2F".to_owned(),
            3 => format!("/docs/manager/page-{n}"),
            4 => "/xmlrpc.php?rsd".to_owned(),
            _ => format!("/2019/{n}/old-article?replytocom={n}"),
        };
        site.line("66.249.66.1", &format!("GET {path}"), 404, "153 \"-\" \"Mozilla/5.0 (compatible; Googlebot/2.1)\"");
    }
    assert_eq!(site.named(), [""; 0], "{:?}", site.findings);
}

#[test]
fn an_uptime_monitor_is_not_told_of_even_while_the_site_is_down() {
    let mut site = Site::new();
    for n in 0..2000 {
        site.wait(29);
        let status = if n % 100 > 40 { 503 } else { 200 };
        site.line("192.0.2.50", "HEAD /health", status, "0 \"-\" \"UptimeRobot/2.0\"");
    }
    assert_eq!(site.findings, []);
}

#[test]
fn an_author_who_writes_about_sql_and_markup_is_not_named() {
    let mut site = Site::new();
    let texts = [
        "SELECT+*+FROM+users+WHERE+id%3D1+UNION+SELECT+1,2,3",
        "drop+table+users",
        "insert+into+posts+values+(1,'x')",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "1'+or+'1'%3D'1",
    ];
    for n in 0..600 {
        let text = texts[n % texts.len()];
        let page = format!("/wp-admin/edit.php?s={text}&post_type=post&paged={n}");
        site.line("192.0.2.60", &format!("GET {page}"), 200, "9000 \"-\" \"Mozilla/5.0\"");
        // Every file of the page carries the address of the page.
        for file in ["/wp-includes/a.css", "/wp-includes/b.js"] {
            let rest = format!("900 \"https://blog.example{page}\" \"Mozilla/5.0\"");
            site.line("192.0.2.60", &format!("GET {file}"), 200, &rest);
        }
        site.line("192.0.2.60", "POST /wp-admin/post.php", 302, "0 \"-\" \"Mozilla/5.0\"");
        site.line("192.0.2.60", "POST /wp-admin/admin-ajax.php", 200, "47 \"-\" \"Mozilla/5.0\"");
    }
    assert_eq!(site.named(), [""; 0], "{:?}", site.findings);
}

#[test]
fn a_link_checker_is_not_named() {
    let mut site = Site::new();
    for n in 0..2000 {
        let path = format!("/manual/{}/{n}.html", ["admin", "setup.php", "console", "intro"][n % 4]);
        let status = if n % 3 == 0 { 200 } else { 404 };
        site.line("192.0.2.70", &format!("HEAD {path}"), status, "0 \"-\" \"Xenu Link Sleuth/1.3.8\"");
    }
    assert_eq!(site.named(), [""; 0], "{:?}", site.findings);
}

#[test]
fn builds_that_fetch_without_a_password_first_are_not_told_of() {
    let mut site = Site::new();
    for n in 0..500 {
        site.line("192.0.2.80", "GET /v2/app/manifests/latest", 401, "87 \"-\" \"docker/24.0\"");
        site.line("192.0.2.80", &format!("GET /repo.git/info/refs?service=git-upload-pack&n={n}"), 401, "0 \"-\" \"git/2.43\"");
        site.line("192.0.2.80", &format!("GET /artifacts/build-{n}/.gitignore"), 200, "120 \"-\" \"curl/8.5\"");
        site.line("192.0.2.80", &format!("GET /artifacts/build-{n}/.github/workflows/ci.yml"), 200, "900 \"-\" \"curl/8.5\"");
        site.line("192.0.2.80", &format!("GET /api/items/{n}?filter[price][$gte]=5"), 200, "900 \"-\" \"python-requests/2.31\"");
    }
    assert_eq!(site.findings, []);
}

#[test]
fn a_broken_page_that_asks_for_what_is_gone_is_told_at_most_and_never_named() {
    let mut site = Site::new();
    for n in 0..4000 {
        if n % 20 != 0 {
            site.wait(-1);
        }
        site.get("192.0.2.90", &format!("/static/js/chunk-{n}.{}.js", n * 7919 % 4096), 404);
        site.line("192.0.2.90", "POST /api/track", 403, "5 \"https://shop.example/\" \"Mozilla/5.0\"");
    }
    assert_eq!(site.named(), [""; 0]);
    assert!(site.findings.iter().all(|finding| finding.info.name == "web_error_burst"), "{:?}", site.findings);
    assert!(site.alerts() <= 1, "{:?}", site.findings);
}

#[test]
fn one_attacker_among_ordinary_visitors_is_the_only_one_named() {
    let mut site = Site::new();
    for n in 0..400 {
        (0..5).for_each(|k| drop(site.get(&format!("192.0.2.{}", 100 + k), &format!("/article/{n}?page={k}&sort=date"), 200)));
        site.get(EVIL, &attack(n), 404);
    }
    let mut named = site.named();
    named.dedup();
    assert_eq!(named, [EVIL]);
}
