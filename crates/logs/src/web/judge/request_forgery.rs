//! Server-side request forgery: addresses that only the server itself can reach.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const RULES: &[Rule] = &[
    strong(
        &["169.254.169.254", "metadata", "100.100.100.200", "fd00:ec2", "169.254.170.2"],
        r"//(?:169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|metadata\.tencentyun\.com|100\.100\.100\.200|\[fd00:ec2::254\])",
        "the cloud's metadata service, which hands out credentials",
    ),
    fair(
        &["169.254.169.254", "metadata.google"],
        r"169\.254\.169\.254|metadata\.google\.internal",
        "the cloud's metadata service, which hands out credentials",
    ),
    fair(
        &[
            "localhost", "internal", "loopback", "127.", "0.0.0.0", "::1", "kubernetes", ".svc", "lvh.me", "localtest.me", "lacolhost",
            "vcap.me", "nip.io", "xip.io", "sslip.io",
        ],
        r"^\s*(?:(?:https?|ftp)://)?(?:[\w.-]*localhost\d?(?:\.localdomain\d?)?|127\.[\d.]+|0\.0\.0\.0|\[::(?:1|ffff:[\d.:a-f]+)?\]|[\w-]*loopback|broadcasthost|kubernetes(?:\.default)?|[\w.-]*(?:lvh\.me|localtest\.me|lacolhost\.com|vcap\.me)|(?:host|gateway|kubernetes)\.docker\.internal|[\w.-]+\.(?:svc(?:\.cluster\.local)?|internal)|[\w.-]*127[.-]0[.-]0[.-]1\.(?:nip|xip|sslip)\.io)(?::\d+)?/",
        "the server itself or its inner network as an address",
    ),
    fair(
        &["://"],
        r"^\s*https?://(?:0x[0-9a-f]{6,8}|\d{8,10}|0[0-7]{9,12}|0x[0-9a-f]+(?:\.(?:0x)?[0-9a-f]+){1,3})(?:[:/]|$)",
        "an address written so that filters do not see it",
    ),
    fair(
        &["://"],
        r"^\s*https?://(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]{3,40}\])(?::\d+)?/[^?]{0,200}\.(?:php\d?|txt|sh|exe|jspx?|aspx?|cgi|pl|py)\b",
        "a program of a host without a name",
    ),
    fair(
        &["meta-data", "user-data", "computemetadata", "openstack", "metadata", "instance-data"],
        r"^\s*\w+://[^/]{1,80}/(?:latest/(?:meta-data|user-data|dynamic)|computemetadata/v1|openstack(?:/|$)|metadata/(?:instance|v1|identity)|hetzner/v1)|^\s*https?://(?:rancher-metadata|instance-data|metadata)(?:[./]|$)",
        "the cloud's metadata service, which hands out credentials",
    ),
    fair(
        &["://"],
        r"^\s*\w+://(?:[^/@]{0,60}@)?(?:0x[0-9a-f]+|0\d+|\d{1,3})(?:\.(?:0x[0-9a-f]+|\d+)){0,2}(?:[:/?#]|$)|^\s*\w+://(?:0x[0-9a-f]+|0\d+)(?:\.(?:0x[0-9a-f]+|\d+)){3}(?:[:/?#]|$)",
        "an address written so that filters do not see it",
    ),
    fair(
        &["://"],
        r"^\s*\w+://[^/?#]{0,80}(?:\xe2\x91|\xe2\x92|\xe2\x93|\xe3\x80\x82)",
        "an address written so that filters do not see it",
    ),
    fair(
        &["localhost", "127.", "://0", "[::"],
        r"^\s*\w+://(?:localhost|127\.[\d.]+|0\.0\.0\.0|\[::1?\]|\[::ffff:[^\]]{1,40}\])(?::\d+)?(?:[/?#]|$)",
        "the server itself as an address",
    ),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::RequestForgery, lists: &[], rules: RULES };
