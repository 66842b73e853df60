/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/device-state.h"
#include "base/sensor-state.h"
#include "style.h"

#include <string.h>

static void test_decide(void **state)
{
    static const struct {
        struct terminal_facts facts;
        struct terminal is;
    } rows[] = {
        /* a pipe, whatever the environment says */
        {{false, true, "xterm", NULL, 80, 24}, {0, 0, false, false, false}},
        {{true, true, "xterm", NULL, 120, 24}, {120, 24, true, true, true}},
        {{true, false, "xterm", NULL, 80, 24}, {80, 24, true, false, true}},
        {{true, true, "xterm", "1", 80, 24}, {80, 24, false, true, true}},
        {{true, true, "xterm", "", 80, 24}, {80, 24, true, true, true}}, /* empty is not set */
        {{true, true, "dumb", NULL, 80, 24}, {80, 24, false, false, false}},
        {{true, true, NULL, NULL, 80, 24}, {80, 24, false, false, false}},
        /* a terminal that does not tell its size, as a serial line's */
        {{true, true, "vt220", NULL, 0, 0}, {80, 0, true, true, true}},
        {{true, true, "xterm", NULL, 5, 3}, {20, 3, true, true, true}},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct terminal t;

        style_decide(&rows[i].facts, &t);
        if (t.width != rows[i].is.width || t.height != rows[i].is.height || t.colour != rows[i].is.colour ||
            t.symbols != rows[i].is.symbols || t.draws != rows[i].is.draws)
            fail_msg("row %zu", i);
    }
}

static void test_sequences(void **state)
{
    const struct terminal none = {0}, all = {.colour = true, .symbols = true};

    for (int style = STYLE_PLAIN; style <= STYLE_HEADING; style++) {
        assert_string_equal(style_begin(&none, (enum style)style), "");
        assert_string_equal(style_end(&none, (enum style)style), "");
        assert_string_equal(style_mark(&none, (enum style)style), "");
        /* what is begun is ended */
        assert_int_equal(style_begin(&all, (enum style)style)[0] == 0, style_end(&all, (enum style)style)[0] == 0);
        assert_string_not_equal(style_mark(&all, (enum style)style), "");
    }
}

static void test_states(void **state)
{
    /* a new state of a sensor gets a style of its own choice, not by chance */
    for (int s = 0; s < SENSOR_STATES; s++)
        assert_int_not_equal(style_of_state(sensor_state_name((enum sensor_state)s)), STYLE_PLAIN);
    for (int s = 0; s < DEVICE_STATES; s++)
        assert_int_not_equal(style_of_state(device_state_name((enum device_state)s)), STYLE_PLAIN);
    assert_int_equal(style_of_state("online"), STYLE_GOOD);
    assert_int_equal(style_of_state("refused"), STYLE_BAD);
    assert_int_equal(style_of_state(""), STYLE_PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
