/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/limits.h"
#include "device/job.h"

#include <cmocka.h>

/* A device that waits has one line, with the last reason, which its outcome takes the place of. */
static void test_waiting(void **state)
{
    sd_event *event = NULL;
    struct jobs *jobs = NULL;
    struct job *job;

    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(jobs_new(event, &jobs), 0);
    assert_int_equal(job_new(jobs, "rotate-all", "rotate", 2, &job), 0);
    job_waiting(job, "a", "refused");
    job_waiting(job, "b", "refused");
    job_waiting(job, "a", "not answered");
    assert_int_equal(job->n_results, 2);
    assert_string_equal(job->results[0].outcome, "waiting");
    assert_string_equal(job->results[0].reason, "not answered");
    assert_int_equal(job->done, 0);
    job_progress(jobs, job, "b", true, "done", NULL);
    job_progress(jobs, job, "c", true, "done", NULL);
    job_progress(jobs, job, "a", false, "abandoned", "given up");
    assert_int_equal(job->n_results, 3);
    assert_int_equal(job->n_waiting, 0);
    assert_string_equal(job->results[0].outcome, "abandoned");
    assert_string_equal(job->results[1].device, "b");
    assert_string_equal(job->results[1].outcome, "done");
    assert_int_equal(job->done, 3);
    jobs_free(jobs);
    sd_event_unref(event);
}

/* Of more finished ones than are kept those go that finished first, not those that began first. */
static void test_one_that_ran_long_is_kept_when_it_has_finished(void **state)
{
    sd_event *event = NULL;
    struct jobs *jobs = NULL;
    struct job *first, *job;

    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(jobs_new(event, &jobs), 0);
    assert_int_equal(job_new(jobs, "quiesce", "manage", 1, &first), 0);
    for (unsigned i = 0; i < JOBS_KEPT; i++) {
        uint64_t now = clock_boottime();

        assert_int_equal(job_new(jobs, "check", "view", 1, &job), 0);
        job_finish(jobs, job, JOB_DONE);
        while (clock_boottime() == now)
            ;
    }
    job_finish(jobs, first, JOB_CANCELLED);
    assert_ptr_equal(job_find(jobs, 1), first);
    assert_int_equal(first->state, JOB_CANCELLED);
    assert_null(job_find(jobs, 2));
    assert_non_null(job_find(jobs, 3));
    jobs_free(jobs);
    sd_event_unref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_waiting),
                                       cmocka_unit_test(test_one_that_ran_long_is_kept_when_it_has_finished)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
