//! Which requests are failed logins: by the status that the server answered with, where that says it.

use bartizan_logs::web::Access;

/// Last parts of paths to which pages and programs send a name and a password.
const LOGIN_PAGES: [&[u8]; 12] = [
    b"wp-login.php", b"login", b"login.php", b"login.html", b"signin", b"sign_in", b"sign-in", b"log-in", b"user_login", b"admin_login",
    b"do_login", b"authenticate",
];

/// Whether the server refused a name and password in this request.
///
/// 401 counts only where a name was given: git, package managers and browsers ask once without. WordPress answers a wrong password with 200 and
/// a right one with 302; other pages count where they refuse with a status of their own.
pub(super) fn refused(access: &Access<'_>) -> bool {
    if access.status == Some(401) && !access.user.is_empty() {
        return true;
    }
    let asked = access.asked();
    if asked.method != b"POST" {
        return false;
    }
    let path = asked.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if !LOGIN_PAGES.contains(&last) {
        return false;
    }
    match access.status {
        Some(401 | 403 | 422 | 429) => true,
        // Not a password that was forgotten, nor one for a single post: both name an action.
        Some(200) => last == b"wp-login.php" && memchr_action(access.query()).is_none(),
        _ => false,
    }
}

fn memchr_action(query: &[u8]) -> Option<usize> {
    query.windows(7).position(|word| word == b"action=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_logs::web::AccessReader;

    #[test]
    fn a_login_counts_as_failed_only_where_the_server_says_so() {
        let is_refused = |user: &str, request: &str, status: u16| {
            let line = format!(r#"192.0.2.1 - {user} [28/Nov/2026:10:00:00 +0000] "{request} HTTP/1.1" {status} 5 "-" "x""#);
            refused(&AccessReader::guessing().read(line.as_bytes()).unwrap())
        };
        assert!(is_refused("bob", "GET /private/", 401));
        assert!(is_refused("-", "POST /wp-login.php", 200), "WordPress shows the form again");
        assert!(is_refused("-", "POST /app/login/", 401) && is_refused("-", "POST /admin/login", 422));
        for (user, request, status) in [
            ("-", "GET /private/", 401),
            ("bob", "GET /private/", 200),
            ("-", "POST /wp-login.php", 302),
            ("-", "POST /wp-login.php?action=lostpassword", 200),
            ("-", "GET /wp-login.php", 200),
            ("-", "POST /login", 200),
            ("-", "POST /api/items", 403),
            ("-", "POST /v2/token", 401),
        ] {
            assert!(!is_refused(user, request, status), "{user} {request} {status}");
        }
    }
}
