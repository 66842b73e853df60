/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check that says nothing of what is wrong sends people to the cabinet; one that waits for ever is no answer either:
 * what the agent knows of its fleet is found, each with the command that mends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "check/findings.h"
#include "doctor/doctor.h"
#include "link/client.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "fleet-bench.h"

#include <elf.h>
#include <link.h>

static struct fleet_bench b;
static struct doctor *doctor;
static struct link_client *driver;

static int setup(void **state)
{
    clock_set_synchronized(); /* whatever the machine of the test says of its own */
    scratch_setup(state);
    bench_begin_fleet(&b, *state);
    assert_int_equal(doctor_new(b.s->event, b.fleet, &doctor), 0);
    return 0;
}

static int teardown(void **state)
{
    driver = link_client_free(driver);
    doctor = doctor_free(doctor);
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

static void on_connection(int r, const char *reason, void *userdata) {}

static void on_devices(const struct link_device *devices, size_t n, void *userdata)
{
    *(bool *)userdata = true;
}

static void on_quit(void *userdata) {}

static void begin_driver(void)
{
    static const struct link_client_ops ops = {.connection = on_connection, .set_devices = on_devices, .quit = on_quit};
    char run[160];
    const struct link_client_options options = {run, "sim", "1"};
    bool ready = false;
    struct error e = {0};

    snprintf(run, sizeof(run), "%s", bench_path(&b, "run"));
    assert_int_equal(link_client_new(b.s->event, &options, &ops, &ready, &driver, &e), 0);
    run_until(b.s->event, ready);
}

/* A running fleet with other files. */
static void restart(void)
{
    doctor = doctor_free(doctor);
    b.fleet = fleet_free(b.fleet);
    scratch_reopen(b.s);
    bench_fleet(&b);
    assert_int_equal(doctor_new(b.s->event, b.fleet, &doctor), 0);
}

static struct job *begin(void)
{
    struct job *job = NULL;
    struct error e = {0};

    if (doctor_check(doctor, &job, &e) < 0)
        fail_msg("%s", e.text);
    return job;
}

static struct job *check(void)
{
    struct job *job = begin();

    run_until(b.s->event, job->state != JOB_RUNNING);
    assert_int_equal(job->state, JOB_DONE);
    return job;
}

static const char *member(const struct job_result *result, const char *key)
{
    return json_object_get_string(json_object_object_get(result->found, key));
}

/* The finding of that kind and subject; NULL: none. */
static const struct job_result *found(const struct job *job, enum finding_id id, const char *subject)
{
    for (size_t i = 0; i < job->n_results; i++)
        if (strcmp(member(&job->results[i], "id"), finding_kinds[id].name) == 0 &&
            strcmp(member(&job->results[i], "subject"), subject) == 0)
            return &job->results[i];
    return NULL;
}

static void expect(const struct job *job, enum finding_id id, const char *subject, const char *cause, const char *mend)
{
    const struct job_result *result = found(job, id, subject);

    for (size_t i = 0; !result && i < job->n_results; i++)
        print_error("found: %s\n", json_object_to_json_string(job->results[i].found));
    if (!result)
        fail_msg("no %s of %s", finding_kinds[id].name, subject);
    if (!strstr(member(result, "cause"), cause))
        fail_msg("%s: not \"%s\" in \"%s\"", finding_kinds[id].name, cause, member(result, "cause"));
    if (!strstr(member(result, "mend"), mend))
        fail_msg("%s: not \"%s\" in \"%s\"", finding_kinds[id].name, mend, member(result, "mend"));
}

static void test_a_check_names_the_device_without_a_key_and_how_to_give_it_one(void **state)
{
    struct job *job = check();

    expect(job, FINDING_KEY_MISSING, "pump-2", "no key", "gatehousectl key set pump-2");
    assert_null(found(job, FINDING_KEY_MISSING, "boiler-1"));
    assert_int_equal(job->done, 2);
    assert_int_equal(job->total, 2);
    assert_string_equal(job->kind, "check");
}

static void test_a_device_that_connects_is_waited_for_and_judged_by_what_came_of_it(void **state)
{
    time_t begun = time(NULL);
    struct job *job;

    b.peer.unknown = true; /* as a cloud that does not know the identity */
    begin_driver();
    do
        job = check(); /* one waits no longer than CHECK_WAIT */
    while (!found(job, FINDING_KEY_REFUSED, "boiler-1") && time(NULL) - begun < DEADLINE_SECONDS);
    expect(job, FINDING_KEY_REFUSED, "boiler-1", "identity child-1", "gatehousectl key set boiler-1 child-1");
}

static void test_a_second_check_joins_the_one_under_way(void **state)
{
    struct job *first, *second;

    b.peer.deaf = true; /* boiler-1 stays connecting, so that the check goes on */
    first = begin();
    second = begin();
    assert_ptr_equal(first, second);
    assert_int_equal(job_cancel(fleet_jobs(b.fleet), first, NULL), 0);
    assert_int_equal(first->state, JOB_CANCELLED);
    b.peer.deaf = false;
    second = begin(); /* the cancelled one left nothing behind */
    assert_ptr_not_equal(first, second);
    run_until(b.s->event, second->state == JOB_DONE);
    assert_non_null(found(second, FINDING_KEY_MISSING, "pump-2"));
}

static void test_a_cancelled_check_has_no_results_that_look_like_all_of_them(void **state)
{
    struct job *job;

    b.peer.deaf = true;
    job = begin();
    assert_int_equal(job_cancel(fleet_jobs(b.fleet), job, NULL), 0);
    assert_int_equal(job->n_results, 0);
}

static void test_a_check_ends_as_cancelled_when_the_agent_stops(void **state)
{
    struct job *job;

    b.peer.deaf = true;
    job = begin();
    doctor = doctor_free(doctor);
    assert_int_equal(job->state, JOB_CANCELLED);
}

static void test_a_mistake_in_a_file_is_found_with_its_place(void **state)
{
    struct job *job;
    char place[200];

    bench_file(
        &b, "etc/devices.d/broken.json",
        "{\n  \"device\": \"broken\", \"uplink\": \"cloud\", \"driver\": \"sim\", \"sim\": {},\n  \"pionts\": {} }");
    restart();
    job = check();
    snprintf(place, sizeof(place), "%s:3:3", bench_path(&b, "etc/devices.d/broken.json"));
    expect(job, FINDING_BAD_SETTING, place, "pionts", "sudoedit ");
}

/* ── Drivers ── */

static void test_a_driver_without_its_plugin_is_not_installed(void **state)
{
    struct job *job = check();

    expect(job, FINDING_DRIVER_MISSING, "sim", "not installed", "apt install gatehouse-devcloud");
    assert_null(found(job, FINDING_DRIVER_AWAY, "sim")); /* follows from it */
}

static void test_a_plugin_that_cannot_be_loaded_is_told_from_one_that_is_missing(void **state)
{
    struct job *job;

    bench_file(&b, "plugins/sim.so", "#!/bin/sh\n# a script of sixty-four characters and more, but never a library\n");
    job = check();
    expect(job, FINDING_PLUGIN_ABI, "sim", "no library", "apt install --reinstall gatehouse gatehouse-devcloud");
}

/* The head of a library, as this machine has them. */
static void plugin(ElfW(Ehdr) * ret)
{
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_int_equal(read(self, ret, sizeof(*ret)), sizeof(*ret));
    close(self);
    ret->e_shoff = ret->e_shnum = 0;
}

static void test_a_plugin_of_another_machine_is_named_as_such(void **state)
{
    ElfW(Ehdr) head;

    plugin(&head);
    head.e_machine ^= 1;
    scratch_write(bench_path(&b, "plugins/sim.so"), &head, sizeof(head), 0644);
    expect(check(), FINDING_PLUGIN_ABI, "sim", "another architecture", "--reinstall");
}

static void test_a_driver_that_does_not_run_is_to_be_restarted(void **state)
{
    ElfW(Ehdr) head;

    plugin(&head);
    scratch_write(bench_path(&b, "plugins/sim.so"), &head, sizeof(head), 0644);
    expect(check(), FINDING_DRIVER_AWAY, "sim", "not since the agent started",
           "systemctl restart gatehouse-driver@sim");
}

static void test_without_a_directory_of_plugins_nothing_is_called_not_installed(void **state)
{
    assert_int_equal(rmdir(b.plugin_dir), 0);
    assert_null(found(check(), FINDING_DRIVER_MISSING, "sim"));
}

/* ── Samples of nobody ── */

/* Samples of pump-2, which has no key to send them with. */
static void leave_samples(void)
{
    const struct sample s = {
        .point = "y", .time = 1700000000000000, .unit = "Cel", .value = {SAMPLE_DOUBLE, .d = 20.5}};
    struct queued *q = queued_new("pump-2", &s);

    assert_non_null(q);
    begin_driver();
    link_client_push(driver, q);
    run_until(b.s->event, link_client_pending(driver) == 0);
    driver = link_client_free(driver);
}

static void on_orphan(const char *id, uint64_t samples, void *userdata)
{
    *(uint64_t *)userdata += samples;
}

static uint64_t orphans(void)
{
    uint64_t n = 0;

    fleet_orphans(b.fleet, on_orphan, &n);
    return n;
}

static void test_samples_of_a_device_whose_file_is_gone_are_not_forgotten(void **state)
{
    leave_samples();
    bench_stop_fleet(&b);
    unlink(bench_path(&b, "etc/devices.d/pump-2.json"));
    restart();
    run_until(b.s->event, orphans() > 0); /* read from the disk */
    expect(check(), FINDING_SAMPLES_ORPHANED, "pump-2", "1 samples wait for it", "gatehousectl reload");
}

/* ── In one line ── */

static void test_the_one_line_has_the_cause_and_its_command(void **state)
{
    char line[CHECK_PROBLEM_TEXT];

    doctor_problem(b.fleet, line, sizeof(line));
    assert_non_null(strstr(line, "driver-missing: sim: it is not installed"));
    assert_non_null(strstr(line, "; mend: apt install gatehouse-devcloud"));
    assert_null(strchr(line, '\n'));
}

static void test_the_one_line_tells_of_samples_whose_device_is_gone(void **state)
{
    char line[CHECK_PROBLEM_TEXT];

    leave_samples();
    bench_stop_fleet(&b);
    unlink(bench_path(&b, "etc/devices.d/pump-2.json"));
    restart();
    run_until(b.s->event, orphans() > 0);
    doctor_problem(b.fleet, line, sizeof(line));
    assert_non_null(strstr(line, "samples-orphaned: pump-2: 1 samples wait for it"));
}

static void test_the_one_line_is_of_a_device_where_the_fleet_as_a_whole_is_well(void **state)
{
    char line[CHECK_PROBLEM_TEXT];

    begin_driver();
    doctor_problem(b.fleet, line, sizeof(line));
    assert_non_null(
        strstr(line, "key-missing: pump-2: it has no key for its uplink; mend: gatehousectl key set pump-2"));
}

static void test_of_a_large_fleet_the_one_line_finds_the_device_that_is_not_well(void **state)
{
    char id[16], line[CHECK_PROBLEM_TEXT];

    for (int i = 0; i < CHECK_PROBLEM_DEVICES; i++) {
        snprintf(id, sizeof(id), "fan-%d", i);
        bench_device(&b, id, "{\"z\":{\"signal\":\"sine\",\"period\":\"10s\"}}");
    }
    restart();
    for (struct device *d = NULL; (d = fleet_next(b.fleet, d ? device_id(d) : NULL));)
        if (strcmp(device_id(d), "pump-2") != 0)
            device_disconnect(d); /* by hand, which is nobody's trouble */
    begin_driver();
    doctor_problem(b.fleet, line, sizeof(line));
    assert_non_null(strstr(line, "key-missing: pump-2"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_check_names_the_device_without_a_key_and_how_to_give_it_one),
        WITH(test_a_device_that_connects_is_waited_for_and_judged_by_what_came_of_it),
        WITH(test_a_second_check_joins_the_one_under_way),
        WITH(test_a_cancelled_check_has_no_results_that_look_like_all_of_them),
        WITH(test_a_check_ends_as_cancelled_when_the_agent_stops),
        WITH(test_a_mistake_in_a_file_is_found_with_its_place),
        WITH(test_a_driver_without_its_plugin_is_not_installed),
        WITH(test_a_plugin_that_cannot_be_loaded_is_told_from_one_that_is_missing),
        WITH(test_a_plugin_of_another_machine_is_named_as_such),
        WITH(test_a_driver_that_does_not_run_is_to_be_restarted),
        WITH(test_without_a_directory_of_plugins_nothing_is_called_not_installed),
        WITH(test_samples_of_a_device_whose_file_is_gone_are_not_forgotten),
        WITH(test_the_one_line_has_the_cause_and_its_command),
        WITH(test_the_one_line_tells_of_samples_whose_device_is_gone),
        WITH(test_the_one_line_is_of_a_device_where_the_fleet_as_a_whole_is_well),
        WITH(test_of_a_large_fleet_the_one_line_finds_the_device_that_is_not_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
