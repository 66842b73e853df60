/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/startup.h"

#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define BIND_NOW "LD_BIND_NOW="
#define SELF "/proc/self/exe"

/* A name that ends with '_' stands for all that begin so. The units unset the known ones by name, since
 * UnsetEnvironment= has no patterns (systemd/meson.build). */
static const char *const forbidden[] = {
    /* Any TLS library: a file for the secrets of sessions. */
    "SSLKEYLOGFILE",
    /* OpenSSL, and libraries that read its names: certificates, engines, providers, processor features, traces. */
    "SSL_",
    "OPENSSL_",
    "OSSL_",
    "CTLOG_FILE",
    "QLOGDIR",
    /* GnuTLS and the libraries below it: debugging output with keys, a file of other suites. */
    "GNUTLS_",
    "DEBUG_ALLOW_KEY_USAGE_VIOLATIONS",
    "NETTLE_",
    "P11_KIT_",
    /* The TLS back end and authorities of libcurl; the directory of SQLite's temporary files. */
    "CURL_",
    "SQLITE_",
    /* Calls that keep going through the loader, which stores the registers. */
    "LD_AUDIT",
    "LD_BIND_NOT",
    "LD_PROFILE",
    "LD_PROFILE_OUTPUT",
};

bool startup_forbids(const char *variable)
{
    size_t length = strcspn(variable, "=");

    for (size_t i = 0; i < ELEMENTSOF(forbidden); i++) {
        size_t n = strlen(forbidden[i]);

        if (strncmp(variable, forbidden[i], n) == 0 && (length == n || forbidden[i][n - 1] == '_'))
            return true;
    }
    return false;
}

/* An empty value does not count for the loader. */
static bool binds_now(const char *variable)
{
    return strncmp(variable, BIND_NOW, strlen(BIND_NOW)) == 0 && variable[strlen(BIND_NOW)];
}

char **startup_environment(char *const *old, int *ret_r)
{
    static char bind_now[] = BIND_NOW "1";
    size_t n = 0, kept = 0;
    bool bound = false;
    char **new;

    while (old[n])
        n++;
    *ret_r = 0;
    new = calloc(n + 2, sizeof(*new));
    if (!new) {
        *ret_r = -ENOMEM;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (startup_forbids(old[i]) || strcmp(old[i], BIND_NOW) == 0)
            continue;
        bound = bound || binds_now(old[i]);
        new[kept++] = old[i];
    }
    if (bound && kept == n) {
        free(new);
        return NULL;
    }
    if (!bound)
        new[kept] = bind_now;
    return new;
}

int startup_clean(char **argv, struct error *e)
{
    _cleanup_free_ char **environment = NULL;
    char path[PATH_MAX];
    ssize_t n;
    int r;

    environment = startup_environment(environ, &r);
    if (r < 0)
        return error_errno(e, r, "cannot prepare the environment");
    if (!environment)
        return 0;
    if (getauxval(AT_SECURE))
        return error_set(
            e, -EPERM,
            "cannot bind all symbols before a key is read: the loader ignores variables for a program with "
            "more rights than its caller; remove the set-uid bit, file capabilities, or the transition of a "
            "security module");
    /* By its name, which `ps` then shows; by the link where it was replaced meanwhile. */
    n = readlink(SELF, path, sizeof(path) - 1);
    if (n > 0) {
        path[n] = 0;
        execve(path, argv, environment);
    }
    execve(SELF, argv, environment);
    return error_errno(
        e, -errno,
        "cannot bind all symbols before a key is read: executing %s once more failed; set LD_BIND_NOW=1 and "
        "unset the variables of TLS libraries in its environment",
        SELF);
}
