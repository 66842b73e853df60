/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "vault": { "backup": DIR }: a sealed backup in DIR after rotations, so that one that is put back has keys which the
 * cloud accepts. Many rotations in a row make one: at most one a minute. DIR is mostly on the vault's own card: of a
 * vault that is bound it opens with the bind value too. */
#include "base/clock.h"
#include "base/durable.h"
#include "base/log.h"
#include "base/names.h"
#include "device/internal.h"
#include "device/tasks.h"
#include "vault/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Freed by its own end, which may come when the fleet is gone. */
struct backup_file {
    struct fleet *fleet; /* NULL: gone */
    char path[PATH_MAX];
    uint8_t *data;
    size_t size;
    struct error error;
};

static void finish(struct backup_file *b, int r)
{
    struct fleet *f = b->fleet;

    if (f) {
        f->tasks.backup_dir.file = NULL;
        if (r < 0)
            log_error(NULL, "no backup after a rotation: %s", b->error.text[0] ? b->error.text : strerrordesc_np(-r));
        else
            log_debug(NULL, "%s made", b->path);
        if (r < 0 || f->tasks.backup_dir.wanted)
            backup_dir_due(f);
    }
    free(b->data);
    free(b);
}

/* On the worker for files. */
static int write_out(void *userdata)
{
    struct backup_file *b = userdata;

    return durable_write(AT_FDCWD, b->path, b->data, b->size, 0600, &b->error);
}

static void on_written(int r, void *userdata)
{
    finish(userdata, r);
}

static void on_sealed(int r, uint8_t *data, size_t n, const struct error *e, void *userdata)
{
    struct backup_file *b = userdata;

    b->data = data;
    b->size = n;
    if (r < 0)
        b->error = *e;
    else
        r = b->fleet ? workers_submit(b->fleet->pools.local, write_out, on_written, b) : -ECANCELED;
    if (r < 0)
        finish(b, r);
}

static int begin(struct fleet *f, struct backup_file *b)
{
    if (snprintf(b->path, sizeof(b->path), "%s/" BACKUP_FILE, f->config->vault.backup) >= (int)sizeof(b->path))
        return error_set(&b->error, -ENAMETOOLONG, "%s: the path is too long", f->config->vault.backup);
    return vault_backup(f->vault, VAULT_BACKUP_THIS_BOARD, on_sealed, b, &b->error);
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct fleet *f = userdata;
    struct backup_file *b;
    int r;

    f->tasks.backup_dir.timer = sd_event_source_disable_unref(f->tasks.backup_dir.timer);
    if (!f->config->vault.backup)
        return 0;
    f->tasks.backup_dir.last = clock_boottime();
    b = calloc(1, sizeof(*b));
    if (!b) {
        backup_dir_due(f);
        return 0;
    }
    b->fleet = f;
    f->tasks.backup_dir.file = b;
    f->tasks.backup_dir.wanted = false;
    r = begin(f, b);
    if (r < 0)
        finish(b, r);
    return 0;
}

void backup_dir_due(struct fleet *f)
{
    uint64_t now = clock_boottime();

    if (!f->config->vault.backup || f->stopping)
        return;
    f->tasks.backup_dir.wanted = f->tasks.backup_dir.file != NULL;
    if (f->tasks.backup_dir.timer || f->tasks.backup_dir.file)
        return;
    sd_event_add_time(f->event, &f->tasks.backup_dir.timer, CLOCK_BOOTTIME,
                      f->tasks.backup_dir.last ? MAX_OF(now, f->tasks.backup_dir.last + BACKUP_INTERVAL) : now,
                      USEC_PER_SEC / 10, on_due, f);
}

/* One from before the vault was bound would open without. */
void backup_dir_begin(struct fleet *f)
{
    uint8_t begin[BACKUP_BEGIN_SIZE];
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];

    if (!f->config->vault.backup || !f->config->vault.bind ||
        snprintf(path, sizeof(path), "%s/" BACKUP_FILE, f->config->vault.backup) >= (int)sizeof(path))
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && read(fd, begin, sizeof(begin)) == (ssize_t)sizeof(begin) && backup_is_unbound(begin))
        backup_dir_due(f);
}

void backup_dir_leave(struct fleet *f)
{
    f->tasks.backup_dir.timer = sd_event_source_disable_unref(f->tasks.backup_dir.timer);
    if (f->tasks.backup_dir.file)
        f->tasks.backup_dir.file->fleet = NULL;
    f->tasks.backup_dir.file = NULL;
}
