/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exposition.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void add(json_object *families)
{
    json_object *counter = exposition_family(families, "x_samples", "counter", "", "Samples.");

    exposition_sample(counter, "uplink", "a\"b\\c\nd", json_object_new_int64(INT64_C(9007199254740993)));
    exposition_sample(exposition_family(families, "x_room_seconds", "gauge", "seconds", "Room."), NULL, NULL,
                      json_object_new_double(1.5));
}

static void test_openmetrics(void **state)
{
    _cleanup_json_ json_object *families = json_object_new_array();
    _cleanup_free_ char *text = NULL;

    add(families);
    text = exposition_text(families, EXPOSITION_OPENMETRICS);
    assert_string_equal(text, "# TYPE x_samples counter\n# HELP x_samples Samples.\n"
                              "x_samples_total{uplink=\"a\\\"b\\\\c\\nd\"} 9007199254740993\n"
                              "# TYPE x_room_seconds gauge\n# UNIT x_room_seconds seconds\n"
                              "# HELP x_room_seconds Room.\nx_room_seconds 1.5\n# EOF\n");
}

static void test_prometheus(void **state)
{
    _cleanup_json_ json_object *families = json_object_new_array();
    _cleanup_free_ char *text = NULL;

    add(families);
    text = exposition_text(families, EXPOSITION_PROMETHEUS);
    assert_string_equal(text, "# TYPE x_samples_total counter\n# HELP x_samples_total Samples.\n"
                              "x_samples_total{uplink=\"a\\\"b\\\\c\\nd\"} 9007199254740993\n"
                              "# TYPE x_room_seconds gauge\n# HELP x_room_seconds Room.\nx_room_seconds 1.5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_openmetrics), cmocka_unit_test(test_prometheus)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
