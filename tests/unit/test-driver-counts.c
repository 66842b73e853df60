/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gatehouse-driver/counts.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct counts counts;

static int setup(void **state)
{
    (void)state;
    counts_init(&counts);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    counts_done(&counts);
    return 0;
}

static void assert_says(const char *expected)
{
    _cleanup_json_ json_object *o = counts_json(&counts);

    assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), expected);
}

static void the_latest_value_in_the_order_of_first_appearance(void **state)
{
    (void)state;
    assert_says("{}");
    assert_int_equal(counts_set(&counts, "requests", 1), 0);
    assert_int_equal(counts_set(&counts, "exception_11", 5), 0);
    assert_int_equal(counts_set(&counts, "requests", 2), 0);
    assert_int_equal(counts_set(&counts, "exception_1", 0), 0);
    assert_says("{\"requests\":2,\"exception_11\":5,\"exception_1\":0}");
}

static void a_count_may_be_as_large_as_it_gets(void **state)
{
    (void)state;
    assert_int_equal(counts_set(&counts, "bytes", UINT64_MAX), 0);
    assert_says("{\"bytes\":18446744073709551615}");
}

static void a_name_that_is_not_one_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "Requests", "a b", "a-b", "a.b", "\"", "\xc3\xa9", "abcdefghijabcdefghijabcdefghijab",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(counts_set(&counts, bad[i], 1), -EINVAL);
    assert_says("{}");
    assert_int_equal(counts_set(&counts, "abcdefghijabcdefghijabcdefghija", 1), 0);
    assert_says("{\"abcdefghijabcdefghijabcdefghija\":1}");
}

static void beyond_the_most_those_that_are_there_still_count(void **state)
{
    char name[COUNT_NAME_MAX + 1];

    (void)state;
    for (unsigned i = 0; i < DEVICE_COUNTS_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(counts_set(&counts, name, i), 0);
    }
    assert_int_equal(counts_set(&counts, "one_more", 1), -ENOSPC);
    assert_int_equal(counts_set(&counts, name, 1234), 0);
    _cleanup_json_ json_object *o = counts_json(&counts);
    assert_int_equal(json_object_object_length(o), DEVICE_COUNTS_MAX);
    assert_int_equal(json_object_get_int(json_object_object_get(o, name)), 1234);
}

static void *set_many(void *name)
{
    for (uint64_t i = 1; i <= 20000; i++)
        if (counts_set(&counts, name, i) < 0)
            return name;
    return NULL;
}

/* The plugin's thread sets while the loop looks. */
static void may_be_set_while_somebody_looks(void **state)
{
    char one[] = "one", two[] = "two";
    pthread_t threads[2];
    void *failed;

    (void)state;
    assert_int_equal(pthread_create(&threads[0], NULL, set_many, one), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, set_many, two), 0);
    for (int i = 0; i < 200; i++) {
        _cleanup_json_ json_object *o = counts_json(&counts);

        assert_true(json_object_object_length(o) <= 2);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    _cleanup_json_ json_object *o = counts_json(&counts);
    assert_int_equal(json_object_get_int(json_object_object_get(o, "one")), 20000);
    assert_int_equal(json_object_get_int(json_object_object_get(o, "two")), 20000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_latest_value_in_the_order_of_first_appearance),
        T(a_count_may_be_as_large_as_it_gets),
        T(a_name_that_is_not_one_is_refused),
        T(beyond_the_most_those_that_are_there_still_count),
        T(may_be_set_while_somebody_looks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
