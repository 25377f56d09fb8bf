//! Configurations of nginx and Apache, and the formats and paths that are read out of them.

use super::*;

fn paths(logs: &WebLogs) -> Vec<&str> {
    logs.logs.iter().map(|log| log.path.as_str()).collect()
}

#[test]
fn nginx_logs_are_found_with_the_format_that_each_has() {
    let main = r#"
user www-data; # log_format no '$no';
error_log /var/log/nginx/error.log warn;
http {
    log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" "${http_user_agent}"'; # the usual
    log_format js escape=json '{"addr":"$remote_addr","uri":"$request_uri","status":$status}';
    set_real_ip_from 10.0.0.0/8;
    include /etc/nginx/conf.d/*.conf;
    content_by_lua_block { print("access_log /lua.log;") -- it's }
    access_log /var/log/nginx/access.log;
}"#;
    let site = r#"server { access_log /var/log/nginx/a.log main buffer=32k; location / { access_log off; }
  access_log /var/log/nginx/b.log js if=$x; access_log /var/log/nginx/$host.log main; access_log syslog:server=unix:/dev/log main;
  access_log "/var/log/nginx/c d.log" gone; error_log /var/log/nginx/error.log; error_log stderr; }"#;
    let logs = read_nginx(&[ConfigText { name: "nginx.conf", text: main }, ConfigText { name: "a.conf", text: site }]);
    assert_eq!(
        paths(&logs),
        ["/var/log/nginx/error.log", "/var/log/nginx/access.log", "/var/log/nginx/a.log", "/var/log/nginx/b.log", "/var/log/nginx/c d.log"]
    );
    let access = |at: usize| match &logs.logs[at].kind {
        LogKind::Access(format) => format.clone(),
        kind => panic!("{kind:?}"),
    };
    assert_eq!(
        (logs.logs[0].kind.clone(), access(1), access(2), access(4)),
        (LogKind::NginxError, Some(Format::combined()), Some(Format::combined()), None)
    );
    assert_eq!(access(3).unwrap().read(br#"{"addr":"192.0.2.1","uri":"/a\"b","status":200}"#).unwrap().target.as_ref(), b"/a\"b");
    assert_eq!(
        (logs.includes.as_slice(), logs.proxies.as_slice()),
        (&["/etc/nginx/conf.d/*.conf".to_owned()][..], &["10.0.0.0/8".to_owned()][..])
    );
    assert_eq!(logs.notes.len(), 3, "{:?}", logs.notes);
    assert!(logs.notes.iter().all(|note| note.starts_with("a.conf:")), "{:?}", logs.notes);
}

#[test]
fn apache_logs_are_found_with_the_format_that_each_has() {
    let main = r#"
Define LOGS /srv/logs
ErrorLog ${APACHE_LOG_DIR}/error.log
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O \
 \"%{Referer}i\"" combined
LogFormat "%t %U" blind
IncludeOptional sites-enabled/*.conf
RemoteIPTrustedProxy 10.0.0.0/8 192.0.2.1
"#;
    let site = r#"<VirtualHost *:80>
  customlog ${APACHE_LOG_DIR}/access.log combined env=!x
  CustomLog "|/usr/bin/rotatelogs x 86400" combined
  CustomLog ${LOGS}/own.log "%a %t \"%r\" %>s"
  CustomLog ${LOGS}/blind.log blind
  CustomLog ${GONE}/x.log combined
  #CustomLog /no.log combined
  TransferLog /var/t.log
</VirtualHost>"#;
    let environment = [("APACHE_LOG_DIR".to_owned(), "/var/log/apache2".to_owned())];
    let logs = read_apache(&[ConfigText { name: "apache2.conf", text: main }, ConfigText { name: "s.conf", text: site }], &environment);
    assert_eq!(
        paths(&logs),
        ["/var/log/apache2/error.log", "/var/log/apache2/access.log", "/srv/logs/own.log", "/srv/logs/blind.log", "/var/t.log"]
    );
    let line = br#"192.0.2.1 [28/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200"#;
    let LogKind::Access(Some(own)) = &logs.logs[2].kind else { panic!("{:?}", logs.logs[2]) };
    assert_eq!(own.read(line).unwrap().status, Some(200));
    assert_eq!(logs.includes, ["sites-enabled/*.conf"]);
    assert_eq!(logs.proxies, ["10.0.0.0/8", "192.0.2.1"]);
    assert_eq!(logs.notes.len(), 3, "{:?}", logs.notes);
}

#[test]
fn a_file_in_two_formats_is_read_by_the_look_of_its_lines() {
    let text = "log_format a '$remote_addr \"$request\"'; access_log /x.log a; access_log /x.log combined;";
    let logs = read_nginx(&[ConfigText { name: "n", text }]);
    assert_eq!(logs.logs, [WebLog { path: "/x.log".to_owned(), kind: LogKind::Access(None) }]);
    assert_eq!(logs.notes.len(), 1);
}

#[test]
fn broken_configurations_end_in_no_panic() {
    for text in [
        "{", "}", "'", "\"\\", "log_format", "log_format x", "access_log", "a ${ b } c;", "LogFormat \"", "CustomLog \\", "Define", "é'é",
        "x_by_lua_block {",
    ] {
        read_nginx(&[ConfigText { name: "n", text }]);
        read_apache(&[ConfigText { name: "n", text }], &[]);
    }
    read_nginx(&[ConfigText { name: "n", text: &"a ".repeat(500_000) }]);
}
