/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy.h"

#include "base/names.h"
#include "vault/bind.h"
#include "vault/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void hold_signals(struct copy *c)
{
    static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ELEMENTSOF(ending); i++)
        sigaddset(&set, ending[i]);
    c->waits = pthread_sigmask(SIG_BLOCK, &set, &c->signals) == 0;
}

static void release_signals(struct copy *c)
{
    if (c->waits)
        pthread_sigmask(SIG_SETMASK, &c->signals, NULL); /* may end the program here */
    c->waits = false;
}

static void unlink_files(struct copy *c)
{
    static const char *const names[] = {"", "-wal", "-shm", "-journal", ".lock"};
    char path[PATH_MAX];

    if (!c->directory[0])
        return;
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        snprintf(path, sizeof(path), "%s/" VAULT_FILE "%s", c->directory, names[i]);
        unlink(path);
    }
    rmdir(c->directory);
    c->directory[0] = 0;
}

void copy_unlink(struct copy *c)
{
    unlink_files(c);
    release_signals(c);
}

void copy_done(struct copy *c)
{
    vault_free(c->vault);
    arena_free(c->arena);
    copy_unlink(c);
}

static int make_directory(struct copy *c, struct error *e)
{
    const char *top = getenv("TMPDIR") ?: "/tmp";

    int r = snprintf(c->directory, sizeof(c->directory), "%s/gatehoused-XXXXXX", top);

    r = r >= (int)sizeof(c->directory) ? -ENAMETOOLONG : mkdtemp(c->directory) ? 0 : -errno;
    if (r < 0) {
        c->directory[0] = 0;
        error_errno(e, r, "cannot make a directory in %s for a copy of the vault", top);
    }
    return r;
}

/* The reason names the vault, not its copy. */
static int with_own_name(const struct copy *c, int r, struct error *e)
{
    char copy[PATH_MAX], *at;
    struct error named = {0};

    snprintf(copy, sizeof(copy), "%s/" VAULT_FILE, c->directory);
    at = strstr(e->text, copy);
    if (!at)
        return r;
    *at = 0;
    error_set(&named, r, "%s%s%s", e->text, c->original, at + strlen(copy));
    *e = named;
    return r;
}

static int open_it(sd_event *event, struct copy *c, const struct options *o, const struct config *config,
                   struct error *e)
{
    struct bind_value bind = {0};
    char path[PATH_MAX];
    int r = arena_new(&c->arena, e);

    snprintf(path, sizeof(path), "%s/" VAULT_FILE, c->directory);
    if (r >= 0)
        r = bind_read(config->vault.bind, &bind, e);
    if (r >= 0)
        r = vault_open(event, c->arena,
                       &(struct vault_options){.path = path,
                                               .keyfile = o->keyfile,
                                               .bind = bind.size > 0 ? bind.bytes : NULL,
                                               .bind_size = bind.size,
                                               .adopt_bind = true,
                                               .allow_volatile = true},
                       &c->vault, e);
    explicit_bzero(&bind, sizeof(bind));
    return r < 0 ? with_own_name(c, r, e) : 0;
}

int copy_open(sd_event *event, const char *original, const struct options *o, const struct config *config,
              struct copy *ret, struct error *e)
{
    int r;

    *ret = (struct copy){.original = original};
    hold_signals(ret);
    r = make_directory(ret, e);
    if (r >= 0)
        r = vault_copy(original, ret->directory, e);
    return r >= 0 ? open_it(event, ret, o, config, e) : r;
}
