/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/startup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char self[4096];

/* ── The environment ── */

static void test_forbids(void **state)
{
    static const char *const taken[] = {
        "SSLKEYLOGFILE=/tmp/keys",
        "SSLKEYLOGFILE=",
        "SSLKEYLOGFILE",
        "SSL_CERT_FILE=/tmp/ca",
        "SSL_CERT_DIR=/tmp",
        "OPENSSL_CONF=/tmp/conf",
        "OPENSSL_MODULES=/tmp",
        "OPENSSL_ia32cap=0",
        "GNUTLS_DEBUG_LEVEL=99",
        "GNUTLS_CPUID_OVERRIDE=1",
        "P11_KIT_DEBUG=all",
        "GNUTLS_SYSTEM_PRIORITY_FILE=/tmp/p",
        "NETTLE_FAT_VERBOSE=1",
        "CURL_CA_BUNDLE=/tmp/ca",
        "SQLITE_TMPDIR=/tmp",
        "LD_AUDIT=/tmp/spy.so",
        "LD_PROFILE=libgnutls.so.30",
        "LD_BIND_NOT=1",
        "OSSL_QFILTER=x",
        "LD_PROFILE_OUTPUT=/tmp",
    };
    static const char *const left[] = {
        "PATH=/usr/bin",
        "NOTIFY_SOCKET=/run/x",
        "CREDENTIALS_DIRECTORY=/run/c",
        "LISTEN_PID=1",
        "LD_PRELOAD=layer.so",
        "DBUS_SYSTEM_BUS_ADDRESS=unix:path=SSLKEYLOGFILE=",
        "LD_LIBRARY_PATH=/opt",
        "SSLKEYLOGFILES=1",
        "SSL=1",
        "OPENSSL=1",
        "MALLOC_ARENA_MAX=1",
        "LD_PROFILER=1",
        "LD_BIND_NOW=1",
        "GLIBC_TUNABLES=x=y",
        "ASAN_OPTIONS=detect_leaks=1",
        "SSLKEYLOG=1",
        "XSSLKEYLOGFILE=/tmp/k",
        "",
    };

    for (size_t i = 0; i < ELEMENTSOF(taken); i++)
        if (!startup_forbids(taken[i]))
            fail_msg("%s is left", taken[i]);
    for (size_t i = 0; i < ELEMENTSOF(left); i++)
        if (startup_forbids(left[i]))
            fail_msg("%s is taken away", left[i]);
}

/* A unit unsets the same ones before the program begins; each of those that have a name. */
static void test_units(void **state)
{
    static const char *const units[] = {"gatehouse.service", "gatehouse-keyfile.service",
                                        "gatehouse-registrar-hono@.service"};

    for (size_t i = 0; i < ELEMENTSOF(units); i++) {
        char path[4096], line[8192], *place;
        bool bound = false, unset = false;
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", UNITS_DIR, units[i]);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
            if (strcmp(line, "Environment=LD_BIND_NOW=1\n") == 0)
                bound = true;
            if (strncmp(line, "UnsetEnvironment=", strlen("UnsetEnvironment=")) != 0)
                continue;
            unset =
                strstr(line, "SSLKEYLOGFILE") && strstr(line, "GNUTLS_DEBUG_LEVEL") && strstr(line, "OPENSSL_CONF ");
            for (char *name = strtok_r(strchr(line, '=') + 1, " \n", &place); name;
                 name = strtok_r(NULL, " \n", &place))
                if (!startup_forbids(name))
                    fail_msg("%s unsets %s, the program does not", units[i], name);
        }
        fclose(f);
        assert_true(bound && unset);
    }
}

static void test_environment(void **state)
{
    static const struct {
        const char *old[6], *new[6]; /* new[0] NULL: the old one will do */
    } rows[] = {
        {{NULL}, {"LD_BIND_NOW=1"}},
        {{"LD_BIND_NOW=1"}, {NULL}},
        {{"A=1", "LD_BIND_NOW=yes", "B="}, {NULL}},
        {{"A=1", "LD_BIND_NOW=", "B=2"}, {"A=1", "B=2", "LD_BIND_NOW=1"}},
        {{"A=1", "SSLKEYLOGFILE=x", "LD_BIND_NOW=1"}, {"A=1", "LD_BIND_NOW=1"}},
        {{"SSLKEYLOGFILE=x", "GNUTLS_DEBUG_LEVEL=9", "SSLKEYLOGFILE=y"}, {"LD_BIND_NOW=1"}},
        {{"LD_BIND_NOW=", "LD_BIND_NOW=1"}, {"LD_BIND_NOW=1"}},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        int r = 1;
        _cleanup_free_ char **new = startup_environment((char *const *)rows[i].old, &r);

        assert_int_equal(r, 0);
        assert_int_equal(new == NULL, rows[i].new[0] == NULL);
        for (size_t k = 0; new && (k == 0 || rows[i].new[k - 1]); k++) {
            assert_int_equal(new[k] == NULL, rows[i].new[k] == NULL);
            if (new[k])
                assert_string_equal(new[k], rows[i].new[k]);
        }
        /* What it is begun with will do: it does not begin for ever. */
        if (new)
            assert_null(startup_environment(new, &r));
    }
}

/* ── What a lazy call leaves on the stack ── */

#if defined(__x86_64__) || defined(__aarch64__)
int lazy_call(void);

#define SEARCHED (64 * 1024)
static const char planted[16] = "a key's 16 bytes";

/* As a copy of a key leaves them: bytes in a vector register, and then the first call of a function. */
static __attribute__((noinline)) void call_with_a_key_in_a_register(void)
{
#ifdef __x86_64__
    __asm__ volatile("movdqu (%0), %%xmm7\n\t"
                     "mov %%rsp, %%rbx\n\t"
                     "sub $256, %%rsp\n\t"
                     "and $-64, %%rsp\n\t"
                     "call *%1\n\t"
                     "mov %%rbx, %%rsp\n\t"
                     "pxor %%xmm7, %%xmm7"
                     :
                     : "r"(planted), "r"(lazy_call)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "memory", "cc");
#else
    __asm__ volatile("ldr q7, [%0]\n\t"
                     "blr %1\n\t"
                     "eor v7.16b, v7.16b, v7.16b"
                     :
                     : "r"(planted), "r"(lazy_call)
                     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                       "x15", "x16", "x17", "x18", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "memory",
                       "cc");
#endif
}

/* Byte by byte: no copy of it is made. */
static __attribute__((noinline, no_sanitize("address"))) int on_the_stack(void)
{
    const volatile char *end = __builtin_frame_address(0);

    for (const volatile char *p = end - SEARCHED; p < end; p++) {
        size_t n = 0;

        while (n < sizeof(planted) && p[n] == planted[n])
            n++;
        if (n == sizeof(planted))
            return 1;
    }
    return 0;
}

/* Room below, so that there is something to search. */
static __attribute__((noinline)) void use_the_stack(void)
{
    volatile char room[SEARCHED + 4096];

    for (size_t i = 0; i < sizeof(room); i += 64)
        room[i] = 0;
}

static int spill(bool begin, char **argv)
{
    struct error e = {0};

    if (begin && startup_clean(argv, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 2;
    }
    use_the_stack();
    call_with_a_key_in_a_register();
    return on_the_stack();
}

static int run_self(const char *how)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        char *const argv[] = {(char *)"spill", (char *)how, NULL};

        unsetenv("LD_BIND_NOW");
        execv(self, argv);
        _exit(3);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_spill(void **state)
{
    int r = run_self("lazily");

    assert_in_range(r, 0, 1);
    if (r == 0) {
        print_message("the loader of this system leaves nothing on the stack\n");
        skip();
    }
    assert_int_equal(run_self("bound"), 0);
}
#else
static int spill(bool begin, char **argv)
{
    return 2;
}

static void test_spill(void **state)
{
    skip(); /* the loader saves no vector registers here */
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forbids),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_spill),
    };
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n < 0)
        return 99;
    if (argc == 2)
        return spill(strcmp(argv[1], "bound") == 0, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
