//! nginx's `log_format`: text with `$variables` (`ngx_http_log_module`).

use super::{Field, Piece};
use crate::web::time::TimeShape;

/// What a variable writes. Unknown ones are taken for the client's: that is the careful guess.
fn field(name: &str) -> Field {
    match name {
        "remote_addr" => Field::Peer,
        "realip_remote_addr" => Field::Connected,
        "http_x_forwarded_for" | "proxy_add_x_forwarded_for" => Field::Forwarded,
        "remote_user" => Field::User,
        "time_local" => Field::Time(TimeShape::Common),
        "time_iso8601" => Field::Time(TimeShape::Iso),
        "msec" => Field::Time(TimeShape::Seconds),
        "request" => Field::Request,
        "request_method" => Field::Method,
        "request_uri" | "uri" | "document_uri" => Field::Target,
        "args" | "query_string" | "is_args" => Field::Query,
        "server_protocol" => Field::Protocol,
        "status" => Field::Status,
        "body_bytes_sent" | "bytes_sent" => Field::Size,
        "http_referer" => Field::Referer,
        "http_user_agent" => Field::Agent,
        "host" | "http_host" => Field::Host,
        "server_name" => Field::Site,
        "remote_port"
        | "realip_remote_port"
        | "server_port"
        | "connection"
        | "connection_requests"
        | "connection_time"
        | "pid"
        | "request_time"
        | "request_length"
        | "content_length"
        | "proxy_port"
        | "gzip_ratio"
        | "tcpinfo_rtt"
        | "tcpinfo_rttvar" => Field::Number,
        _ => Field::Other,
    }
}

/// `$name` or `${name}` at the start of a text behind its `$`, and what follows it.
fn variable(rest: &str) -> Option<(&str, &str)> {
    if let Some(inner) = rest.strip_prefix('{') {
        return inner.split_once('}');
    }
    let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(rest.len());
    (end > 0).then(|| rest.split_at(end))
}

pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push(Piece::Text(before.as_bytes().into()));
        match variable(after) {
            Some((name, follows)) => {
                out.push(Piece::Field(field(name)));
                rest = follows;
            }
            None => {
                out.push(Piece::Text((*b"$").into()));
                rest = after;
            }
        }
    }
    out.push(Piece::Text(rest.as_bytes().into()));
    out.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    out
}
