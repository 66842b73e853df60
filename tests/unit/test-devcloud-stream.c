/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages to Golioth's stream as the development cloud takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"
#include "timestamp.h"

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define NOW (1000 * USEC_PER_SEC)

static struct senml_pack *take(const char *text)
{
    struct senml_pack *p = NULL;
    struct error e = {};

    if (stream_read(text, strlen(text), NOW, &p, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    return p;
}

static void a_list_of_records_with_times(void **state)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = take(
        "[{\"ts\":\"2024-10-01T12:00:00.25Z\",\"level\":0.5,\"on\":true},{\"ts\":\"2024-10-01T12:00:01Z\",\"level\":1}]");

    assert_int_equal(p->count, 3);
    assert_string_equal(p->records[0].name, "level");
    assert_true(p->records[0].time == 1727784000.25);
    assert_true(json_object_get_boolean(p->records[1].value));
    assert_true(p->records[2].time == 1727784001);
    assert_string_equal(p->device, "");
    assert_false(p->probe);
}

static void without_a_time_it_is_now(void **state)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = take("{\"level\":1}");

    assert_int_equal(p->count, 1);
    assert_true(p->records[0].time == 1000);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const wrong[][2] = {
        {"1", "not an object"},
        {"[1]", "record 0"},
        {"[{\"a\":1},{\"ts\":12,\"a\":1}]", "record 1: \"ts\""},
        {"[{\"ts\":\"yesterday\"}]", "\"ts\""},
        {"{\"a\":{\"b\":1}}", "\"a\""},
        {"{\"a\":null}", "\"a\""},
        {"{\"\":1}", "name of 1 to"},
    };

    for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
        struct senml_pack *p = NULL;
        struct error e = {};

        assert_int_equal(stream_read(wrong[i][0], strlen(wrong[i][0]), NOW, &p, &e), -EINVAL);
        assert_null(p);
        assert_non_null(strstr(e.text, wrong[i][1]));
    }
}

static void times_of_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        double seconds; /* negative: refused */
    } times[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2024-10-01T12:00:00+02:00", 1727776800},
        {"2024-10-01T12:00:00.5-00:30", 1727785800.5},
        {"2024-10-01T12:00:00", -1},
        {"2024-10-01T12:00:00.Z", -1},
        {"2024-10-01T12:00:00Zx", -1},
        {"2024-10-01T12:00:00+25:00", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"2024-10-01 12:00:00Z", -1},
        {"", -1},
    };

    for (size_t i = 0; i < ELEMENTSOF(times); i++) {
        double seconds = -1;
        int r = timestamp_read(times[i].text, &seconds);

        assert_int_equal(r, times[i].seconds < 0 ? -EINVAL : 0);
        assert_true(fabs(seconds - times[i].seconds) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_records_with_times),
        cmocka_unit_test(without_a_time_it_is_now),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(times_of_rfc_3339),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
