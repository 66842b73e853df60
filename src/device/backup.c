/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backup as a job: sealed by the vault, written to the caller's file by the worker for files. */
#include "vault/backup.h"
#include "base/durable.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Freed by its own end: the vault, or the worker, ends it after the fleet is gone. */
struct backup_job {
    struct fleet *fleet; /* NULL: gone */
    struct job *job;
    uint32_t caller; /* uid */
    int fd;
    uint8_t *data;
    size_t size;
    struct error error;
};

static void finish(struct backup_job *b, int r)
{
    if (r >= 0)
        log_audit(LOG_NOTICE, MESSAGE_BACKUP_MADE, NULL, b->caller, "a backup of the vault is made");
    if (b->fleet) {
        b->fleet->tasks.backup = NULL;
        job_progress(b->fleet->jobs, b->job, "", r >= 0, r < 0 ? "failed" : NULL, r < 0 ? b->error.text : NULL);
        job_finish(b->fleet->jobs, b->job, r < 0 ? JOB_FAILED : JOB_DONE);
    }
    safe_close(b->fd);
    free(b->data);
    free(b);
}

/* On the worker for files. */
static int write_out(void *userdata)
{
    struct backup_job *b = userdata;
    int r = write_all(b->fd, b->data, b->size);

    if (r >= 0 && fsync(b->fd) < 0)
        r = -errno;
    return r < 0 ? error_errno(&b->error, r, "cannot write the backup") : 0;
}

static void on_written(int r, void *userdata)
{
    finish(userdata, r);
}

static void on_sealed(int r, uint8_t *data, size_t n, const struct error *e, void *userdata)
{
    struct backup_job *b = userdata;

    b->data = data;
    b->size = n;
    if (r < 0)
        b->error = *e;
    else if (!b->fleet)
        r = -ECANCELED;
    else
        r = workers_submit(b->fleet->pools.local, write_out, on_written, b);
    if (r < 0)
        finish(b, r);
}

/* Refuses a file that may block for ever, or that has content already. */
static int check_file(int fd, struct error *e)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return error_errno(e, -errno, "cannot look at the descriptor for the backup");
    if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_RDONLY)
        return error_set(e, -EINVAL, "a backup goes to a regular file that is open for writing");
    if (st.st_size != 0)
        return error_set(e, -EINVAL, "the file for the backup is not empty: it has %lld bytes", (long long)st.st_size);
    return 0;
}

int fleet_backup(struct fleet *f, int fd, uint32_t caller, struct job **ret_job, struct error *e)
{
    struct backup_job *b;
    int r = check_file(fd, e);

    if (r < 0)
        return r;
    if (f->tasks.backup)
        return error_set(e, -EBUSY, "another backup is being made");
    b = calloc(1, sizeof(*b));
    if (!b)
        return error_set(e, -ENOMEM, "out of memory");
    b->fleet = f;
    b->caller = caller;
    b->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    r = b->fd < 0 ? error_errno(e, -errno, "cannot keep the descriptor")
                  : vault_backup(f->vault, VAULT_BACKUP_ANY_BOARD, on_sealed, b, e);
    if (r < 0) {
        safe_close(b->fd);
        free(b);
        return r;
    }
    r = job_new(f->jobs, "backup", ACTION_MANAGE_KEYS, 1, &b->job);
    if (r < 0) {
        b->fleet = NULL; /* it ends unseen */
        return r;
    }
    f->tasks.backup = b;
    *ret_job = b->job;
    return 0;
}

void backup_leave(struct fleet *f)
{
    if (f->tasks.backup)
        f->tasks.backup->fleet = NULL;
    f->tasks.backup = NULL;
}
