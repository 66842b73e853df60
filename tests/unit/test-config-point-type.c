/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "config/point-type.h"

#include <cmocka.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *point;
    enum point_kind kind;
    double min, max, step;
} table[] = {
    {"{\"table\":\"holding\",\"type\":\"int16\"}", POINT_NUMBER, -32768, 32767, 1},
    {"{\"table\":\"holding\",\"type\":\"int16\",\"scale\":0.5}", POINT_NUMBER, -16384, 16383.5, 0.5},
    {"{\"type\":\"uint16\",\"scale\":-1,\"offset\":10}", POINT_NUMBER, -65525, 10, 1},
    {"{\"type\":\"uint32\"}", POINT_NUMBER, 0, 4294967295.0, 1},
    {"{\"type\":\"bcd16\"}", POINT_NUMBER, 0, 9999, 1},
    {"{\"type\":\"sm16\"}", POINT_NUMBER, -32767, 32767, 1},
    {"{\"type\":\"float16\"}", POINT_NUMBER, -65504, 65504, 0},
    {"{\"type\":\"float64\",\"scale\":1e300}", POINT_NUMBER, -INFINITY, INFINITY, 0},
    {"{\"type\":\"int16\",\"scale_register\":7}", POINT_NUMBER, -INFINITY, INFINITY, 0},
    {"{\"table\":\"coil\",\"address\":3}", POINT_BOOLEAN, -INFINITY, INFINITY, 0},
    {"{\"table\":\"holding\",\"type\":\"bit\",\"bit\":3}", POINT_BOOLEAN, -INFINITY, INFINITY, 0},
    {"{\"address\":\"00017\"}", POINT_BOOLEAN, -INFINITY, INFINITY, 0},
    {"{\"address\":\"0x17\"}", POINT_UNKNOWN, -INFINITY, INFINITY, 0},
    {"{\"address\":\"40017\",\"type\":\"string\"}", POINT_TEXT, -INFINITY, INFINITY, 0},
    {"{\"signal\":\"sine\"}", POINT_UNKNOWN, -INFINITY, INFINITY, 0},
    {"{\"type\":7,\"scale\":\"x\"}", POINT_UNKNOWN, -INFINITY, INFINITY, 0},
};

static void test_types(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_json_ json_object *o = NULL;
        struct point_type t;

        assert_int_equal(json_parse(table[i].point, strlen(table[i].point), &o, NULL), 0);
        t = point_type_of(o);
        if (t.kind != table[i].kind || t.min != table[i].min || t.max != table[i].max || t.step != table[i].step)
            fail_msg("%s: %d, %.17g to %.17g by %.17g", table[i].point, t.kind, t.min, t.max, t.step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
