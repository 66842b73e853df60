/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VerifyVault as a job. */
#include "base/log.h"
#include "device/internal.h"

static void on_problem(const char *device, const char *uplink, const char *reason, void *userdata)
{
    struct fleet *f = userdata;

    f->verify->failed++;
    job_note(f->verify, device, "failed", reason);
    log_error(device, "its record for uplink %s: %s", uplink, reason);
}

static void on_progress(size_t done, size_t total, void *userdata)
{
    struct fleet *f = userdata;

    f->verify->done = (uint32_t)done;
    f->verify->total = (uint32_t)total;
}

static void on_verified(int r, size_t n_problems, const struct error *e, void *userdata)
{
    struct fleet *f = userdata;
    struct job *job = f->verify;

    f->verify = NULL;
    if (r < 0)
        job_note(job, "", "failed", e->text);
    job_finish(f->jobs, job, r < 0 || n_problems > 0 ? JOB_FAILED : JOB_DONE);
}

int fleet_verify_vault(struct fleet *f, struct job **ret_job, struct error *e)
{
    static const struct vault_verify_handler handler = {
        .problem = on_problem, .progress = on_progress, .done = on_verified};
    struct job *job;
    int r;

    if (f->verify) {
        *ret_job = f->verify;
        return 0;
    }
    r = vault_verify(f->vault, &handler, f);
    if (r < 0)
        return error_errno(e, r, "cannot verify the vault");
    r = job_new(f->jobs, "verify-vault", "org.gatehouse1.manage-keys", (uint32_t)vault_entries(f->vault), &job);
    if (r < 0)
        return r;
    f->verify = *ret_job = job;
    return 0;
}
