/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VerifyVault as a job. */
#include "base/log.h"
#include "base/names.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/tasks.h"

#include <errno.h>
#include <stdlib.h>

/* A verification under way, freed by its own end: the vault ends it after the fleet is gone. */
struct verify {
    struct fleet *fleet; /* NULL: gone */
    struct job *job;
};

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    struct verify *v = userdata;

    log_error(device, "its record for uplink %s: %s", uplink, reason);
    if (!v->fleet)
        return;
    v->job->failed++;
    job_note(v->job, device, "failed", reason);
}

static void on_progress(size_t done, size_t total, void *userdata)
{
    struct verify *v = userdata;

    if (!v->fleet)
        return;
    v->job->done = (uint32_t)done;
    v->job->total = (uint32_t)total;
}

static void on_verified(int r, size_t n_problems, const struct error *e, void *userdata)
{
    struct verify *v = userdata;

    if (v->fleet) {
        v->fleet->tasks.verify = NULL;
        if (r < 0)
            job_note(v->job, "", "failed", e->text);
        job_finish(v->fleet->jobs, v->job, r < 0 || n_problems > 0 ? JOB_FAILED : JOB_DONE);
    }
    free(v);
}

int fleet_verify_vault(struct fleet *f, struct job **ret_job, struct error *e)
{
    static const struct vault_verify_handler handler = {
        .problem = on_problem, .progress = on_progress, .done = on_verified};
    struct verify *v;
    int r;

    if (f->tasks.verify) {
        *ret_job = f->tasks.verify->job;
        return 0;
    }
    v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    r = vault_verify(f->vault, &handler, v);
    if (r < 0) {
        free(v);
        return error_errno(e, r, "cannot verify the vault");
    }
    r = job_new(f->jobs, "verify-vault", ACTION_MANAGE_KEYS, (uint32_t)vault_entries(f->vault), &v->job);
    if (r < 0)
        return r; /* it runs to its end unseen */
    v->fleet = f;
    f->tasks.verify = v;
    *ret_job = v->job;
    return 0;
}

void verify_leave(struct fleet *f)
{
    if (f->tasks.verify)
        f->tasks.verify->fleet = NULL;
    f->tasks.verify = NULL;
}
