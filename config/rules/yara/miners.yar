// Programs and settings that mine cryptocurrency for somebody else.

rule miner_program
{
    meta:
        description = "a program that mines cryptocurrency"
        technique = "T1496"
    strings:
        $stratum = /stratum\+(tcp|ssl|tls|udp):\/\//
        $method_a = "mining.subscribe"
        $method_b = "mining.authorize"
        $method_c = "mining.submit"
        $login = /"method"\s{0,2}:\s{0,2}"(login|keepalived|submit)"/
        $word_a = "randomx" nocase
        $word_b = "cryptonight" nocase
        $word_c = "donate-level"
        $word_d = "hashrate" nocase
        $word_e = "nicehash" nocase
    condition:
        uint32(0) == 0x464c457f and $stratum and 3 of ($method_*, $login, $word_*)
}

rule miner_settings
{
    meta:
        description = "settings or a command line of a program that mines cryptocurrency: a pool and a wallet"
        technique = "T1496"
    strings:
        $pool = /stratum\+(tcp|ssl|tls|udp):\/\/[\w.-]{4,80}:[0-9]{2,5}/
        $json = /"(url|pool)"\s{0,4}:\s{0,4}"[\w.+:\/-]{4,80}:[0-9]{2,5}"/
        $donate = /"donate-level"\s{0,4}:|--donate-level[= ]/
        $algo = /("algo"|"coin"|--algo|--coin|-a)["=:\s]{1,6}(rx\/|cn\/|randomx|cryptonight|monero|xmr|ghostrider|kawpow|etchash)/ nocase
        $monero = /\b[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}\b/
        $user = /("user"|"wallet"|"login")\s{0,4}:|\s(-u|--user|--wallet)[= ]/
    condition:
        filesize < 256KB and uint32(0) != 0x464c457f
            and (($pool and ($user or $monero) and ($algo or $donate or $monero)) or ($json and $monero and ($donate or $algo)))
}
