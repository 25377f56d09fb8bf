// Libraries and kernel modules that hide what an intruder left.

import "elf"

rule rootkit_preloaded_library
{
    meta:
        description = "a library that stands in for functions of the C library and hides files or processes: made to be preloaded"
        technique = "T1574.006"
    strings:
        $real = "dlsym"
        $preload = "ld.so.preload"
        $hidden_a = "/proc/self/fd/%d"
        $hidden_b = "/proc/%s/stat"
        $hidden_c = "/proc/net/tcp"
        $hidden_d = "/proc/%s/cmdline"
    condition:
        uint32(0) == 0x464c457f and uint16(16) == 3 and filesize < 1MB and $real and ($preload or any of ($hidden_*))
            and for any s in elf.dynsym : (s.shndx != 0 and s.name matches /^readdir(64)?(_r)?$/)
            and for 2 s in elf.dynsym : (
                s.shndx != 0 and s.name matches
                    /^(readdir(64)?|f?open(at)?(64)?|__l?xstat(64)?|l?stat(64)?|unlink(at)?|execve|accept4?|pam_authenticate|getpwnam_r|kill)$/
            )
            // musl is one library of all of them.
            and not for any s in elf.dynsym : (s.shndx != 0 and s.name == "printf")
}

rule rootkit_kernel_module
{
    meta:
        description = "a kernel module that changes system calls and hides itself or processes"
        technique = "T1014"
    strings:
        $module = "vermagic="
        $calls_a = "sys_call_table"
        $calls_b = "kallsyms_lookup_name"
        $calls_c = "ftrace_set_filter_ip"
        $calls_d = "__x64_sys_getdents64"
        $calls_e = "__x64_sys_kill"
        $hide_a = /hide_?(pid|proc|module|file|me|self|port|tcp)/ nocase
        $hide_b = /module_?hid(e|den)/ nocase
        $hide_c = "tcp4_seq_show"
        $hide_d = /give_?root|set_?root|root_?me/ nocase
        $hide_e = "getdents64"
    condition:
        uint32(0) == 0x464c457f and uint16(16) == 1 and $module and 1 of ($calls_*) and 2 of ($hide_*)
}
