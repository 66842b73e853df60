/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list with one mistake must make nothing, or half a field is wired to keys that the other half waits for; each
 * mistake is told with its row, and what was made is there after a restart and goes out again by Export. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include "fleet-bench.h"

#define TEMPLATE                                                                                                       \
    "{\"uplink\":\"cloud\",\"driver\":\"sim\",\"sim\":{\"interval\":\"1s\"},\"points\":{\"x\":{\"signal\":\"sine\","   \
    "\"period\":\"10s\"}}}"
#define HEAD "device,identity,key\n"
#define KEY_A "8f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddeeff"
#define KEY_B "1f1e2d3c4b5a69788796a5b4c3d2e1f000112233445566778899aabbccddee01"
#define KEY_1 "fan-1,child-11," KEY_A "\n"
#define KEY_2 "fan-2,child-12," KEY_B "\n"

static struct fleet_bench b;

static int setup(void **state)
{
    scratch_setup(state);
    bench_begin_fleet(&b, *state);
    return 0;
}

static int teardown(void **state)
{
    bench_end_fleet(&b);
    return scratch_teardown(state);
}

static struct job *provision_as(const char *list, struct provision_options options)
{
    int fd = bench_sealed(list, strlen(list));
    struct job *job = NULL;
    struct error e = {0};

    options.template = options.template ?: TEMPLATE;
    if (fleet_provision(b.fleet, fd, &options, &job, &e) < 0)
        fail_msg("%s", e.text);
    close(fd);
    run_until(b.s->event, job->state != JOB_RUNNING);
    return job;
}

static struct job *provision(const char *list)
{
    return provision_as(list, (struct provision_options){.format = LIST_CSV, .registered = true});
}

/* Nothing was made, and a mistake has these words. */
static void refused(const struct job *job, const char *words)
{
    bool said = false;

    assert_int_equal(job->state, JOB_FAILED);
    for (size_t i = 0; i < job->n_results; i++)
        said = said || strstr(job->results[i].reason, words);
    for (size_t i = 0; !said && i < job->n_results; i++)
        print_error("said: %s: %s\n", job->results[i].device, job->results[i].reason);
    if (!said)
        fail_msg("nothing says \"%s\"", words);
    assert_int_equal(fleet_size(b.fleet), 2);
    assert_null(vault_find(b.s->vault, "fan-1", "cloud"));
}

static const char *identity_of(const char *id)
{
    struct device_status status;

    device_status(bench_find(&b, id), &status);
    return status.keys.main_identity;
}

static void test_each_row_makes_a_device_with_its_key_which_outlive_a_restart(void **state)
{
    struct job *job = provision(HEAD KEY_1 KEY_2);

    assert_int_equal(job->state, JOB_DONE);
    assert_int_equal(job->done, 2);
    assert_string_equal(identity_of("fan-1"), "child-11");
    bench_restart(&b);
    assert_string_equal(identity_of("fan-1"), "child-11");
    assert_string_equal(identity_of("fan-2"), "child-12");
    assert_int_equal(fleet_size(b.fleet), 4);
}

static void test_one_key_for_two_devices_makes_none_of_them(void **state)
{
    refused(provision(HEAD KEY_1 "fan-2,child-12," KEY_A "\n"), "row 2 has the same");
}

static void test_one_identity_for_two_devices_makes_none_of_them(void **state)
{
    refused(provision(HEAD KEY_1 "fan-2,child-11," KEY_B "\n"), "row 2 has the same");
}

static void test_one_device_twice_makes_none_of_them(void **state)
{
    refused(provision(HEAD KEY_1 "fan-1,child-12," KEY_B "\n"), "row 2 has the same");
}

static void test_a_weak_key_is_refused_and_taken_when_somebody_insists(void **state)
{
    static const char weak[] = HEAD "fan-1,child-11,"
                                    "00000000000000000000000000000000\n";
    struct job *job;

    refused(provision(weak), "weak");
    job = provision_as(weak, (struct provision_options){.format = LIST_CSV, .registered = true, .force = true});
    assert_int_equal(job->state, JOB_DONE);
    assert_string_equal(identity_of("fan-1"), "child-11");
}

static void test_an_id_that_is_none_is_told_with_its_row(void **state)
{
    refused(provision(HEAD "fan 1,child-11," KEY_A "\n"), "row 2: device: expected 1 to 64 characters");
}

static void test_an_identity_that_another_device_has_is_refused(void **state)
{
    refused(provision(HEAD "fan-1,child-1," KEY_A "\n"), "boiler-1");
}

static void test_a_template_with_a_mistake_makes_nothing(void **state)
{
    refused(
        provision_as(HEAD KEY_1, (struct provision_options){.format = LIST_CSV,
                                                            .registered = true,
                                                            .template = "{\"uplink\":\"elsewhere\",\"driver\":\"sim\","
                                                                        "\"sim\":{},\"points\":{}}"}),
        "elsewhere");
}

static void test_a_device_that_has_a_key_is_a_mistake_or_passed_over_as_asked(void **state)
{
    static const char list[] = HEAD "boiler-1,child-77," KEY_B "\n" KEY_1;
    struct job *job;

    refused(provision(list), "has a key");
    job = provision_as(list, (struct provision_options){.format = LIST_CSV, .registered = true, .skip = true});
    assert_int_equal(job->state, JOB_DONE);
    assert_string_equal(identity_of("boiler-1"), "child-1");
    assert_string_equal(identity_of("fan-1"), "child-11");
}

static void test_a_list_of_mosquitto_is_taken_too(void **state)
{
    struct job *job =
        provision_as("child-11:" KEY_A "\n", (struct provision_options){.format = LIST_MOSQUITTO, .registered = true});

    assert_int_equal(job->state, JOB_DONE);
    assert_string_equal(identity_of("child-11"), "child-11"); /* named by its identity */
}

static void test_what_is_no_list_makes_nothing(void **state)
{
    assert_int_equal(provision("nothing\nof the kind\n")->state, JOB_FAILED);
    assert_int_equal(fleet_size(b.fleet), 2);
}

static void test_all_keys_go_out_and_come_in_again_as_they_were(void **state)
{
    struct bench_done done = {0};
    struct error e = {0};
    char text[1024] = {0};
    int out = memfd_create("out", MFD_CLOEXEC);

    assert_int_equal(provision(HEAD KEY_1 KEY_2)->state, JOB_DONE);
    if (fleet_export(b.fleet, LIST_CSV, out, "cloud", bench_done, &done, &e) < 0)
        fail_msg("%s", e.text);
    run_until(b.s->event, done.called);
    assert_int_equal(done.r, 3);
    assert_true(pread(out, text, sizeof(text) - 1, 0) > 0);
    assert_non_null(strstr(text, "fan-1"));
    assert_non_null(strstr(text, KEY_A));
    assert_non_null(strstr(text, KEY_B));
    close(out);
    done = (struct bench_done){0};
    out = memfd_create("out", MFD_CLOEXEC);
    assert_int_equal(fleet_export(b.fleet, LIST_CSV, out, "elsewhere", bench_done, &done, &e), -EINVAL);
    assert_string_equal(e.text, "there is no uplink 'elsewhere'");
    close(out);
    out = memfd_create("out", MFD_CLOEXEC);
    if (fleet_export(b.fleet, LIST_CSV, out, NULL, bench_done, &done, &e) < 0) /* it is not in the way of the next */
        fail_msg("%s", e.text);
    run_until(b.s->event, done.called);
    assert_int_equal(done.r, 3); /* and called once: an error that is returned is not told again */
    close(out);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_each_row_makes_a_device_with_its_key_which_outlive_a_restart),
        WITH(test_one_key_for_two_devices_makes_none_of_them),
        WITH(test_one_identity_for_two_devices_makes_none_of_them),
        WITH(test_one_device_twice_makes_none_of_them),
        WITH(test_a_weak_key_is_refused_and_taken_when_somebody_insists),
        WITH(test_an_id_that_is_none_is_told_with_its_row),
        WITH(test_an_identity_that_another_device_has_is_refused),
        WITH(test_a_template_with_a_mistake_makes_nothing),
        WITH(test_a_device_that_has_a_key_is_a_mistake_or_passed_over_as_asked),
        WITH(test_a_list_of_mosquitto_is_taken_too),
        WITH(test_what_is_no_list_makes_nothing),
        WITH(test_all_keys_go_out_and_come_in_again_as_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
