// Shells for the other end of a connection, in scripts and one-liners.

rule reverse_shell_in_a_shell_script
{
    meta:
        description = "it connects out and gives a shell to the other end"
        technique = "T1059.004"
    strings:
        $bash = /\b(ba|z|k|da)?sh\s{1,4}-i\s{0,4}([0-9]?>&|&>|>|[0-9]?<)\s{0,4}\/dev\/(tcp|udp)\/[\w.$\{\[:-]{1,80}\/[\w$\{]/
        // A descriptor on a connection is a health check's too; a shell that reads from it, or a loop that runs what it reads, is not.
        $exec = /\bexec\s{1,4}[0-9]{1,3}<>\s{0,4}\/dev\/(tcp|udp)\/[^\n;]{1,200}[\n;][^\n]{0,80}(\b(ba|da|z|k)?sh\b[^\n]{0,40}<&\s{0,4}[0-9]|\bcat\s{0,4}<&\s{0,4}[0-9]{1,3}\s{0,4}\|\s{0,4}while\b|<&\s{0,4}[0-9]{1,3}[^\n]{0,60}\|\s{0,4}(ba|da|z|k)?sh\b)/
        $netcat = /\b(nc|ncat|netcat)(\.traditional|\.openbsd)?\s[^\n|#]{0,80}-[a-z]{0,4}[ec]\s{1,4}(\/usr)?(\/bin\/)?(ba|da|z)?sh\b/
        $fifo = /mk(fifo|nod)\s[^\n]{1,80}(;|&&)[^\n]{0,80}\bsh\s{1,4}-i[^\n]{0,40}\|\s{0,4}(nc|ncat|netcat|telnet|openssl\s{1,4}s_client)\b[^\n]{0,120}>/
        $socat = /\bsocat\s[^\n]{0,120}(exec|system):['"]?(\/usr)?(\/bin\/)?(ba|da|z)?sh[^\n]{0,80}(pty|stderr)[^\n]{0,120}tcp4?:/ nocase
        $socat_back = /\bsocat\s[^\n]{0,120}tcp4?:[^\n]{1,120}(exec|system):['"]?(\/usr)?(\/bin\/)?(ba|da|z)?sh\b/ nocase
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and any of them
}

rule reverse_shell_in_a_script
{
    meta:
        description = "a script connects out, puts the connection in the place of its input and output, and starts a shell"
        technique = "T1059"
    strings:
        $perl_socket = /socket\s{0,4}\(\s{0,4}\w{1,12}\s{0,4},\s{0,4}PF_INET/
        $perl_open = /open\s{0,4}\(\s{0,4}STD(IN|OUT|ERR)\s{0,4},\s{0,4}["'][<>]&/
        $perl_exec = /(exec|system)\s{0,4}[\({]?\s{0,4}["']\/bin\/(ba|da)?sh(\s{1,4}-i)?["']/
        $python_connect = /\.connect\s{0,4}\(\s{0,4}\(/
        $python_dup = /dup2\s{0,4}\(\s{0,4}\w{1,20}\.fileno\s{0,4}\(\s{0,4}\)/
        $python_shell = /(pty\.spawn|subprocess\.(call|run|Popen)|os\.(system|execl|execve?|popen))\s{0,4}\(\s{0,4}\[?\s{0,4}["'](\/bin\/)?(ba|da|z)?sh["']/
        $ruby = /TCPSocket\.(new|open)\s{0,4}\(?[^\n]{1,120}(exec|spawn|popen)[^\n]{0,60}\bsh\b/
        $php = /\bf?sockopen\s{0,4}\([^\n]{1,120}\)\s{0,4};\s{0,8}(exec|shell_exec|system|passthru|popen|proc_open)\s{0,4}\(\s{0,4}["'](\/bin\/)?(ba)?sh\s{1,4}-i/
        $lua = /socket\.tcp\s{0,4}\(\s{0,4}\)[^\n]{0,200}(io\.popen|os\.execute)\s{0,4}\(/
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f
            and (all of ($perl_*) or all of ($python_*) or any of ($ruby, $php, $lua))
}
