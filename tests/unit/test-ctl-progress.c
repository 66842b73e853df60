/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "progress.h"
#include "table.h"

#include <string.h>

static void check(struct progress p, struct terminal t, const char *begins)
{
    char text[PROGRESS_TEXT_MAX];

    progress_text(&p, &t, text);
    if (strncmp(text, begins, strlen(begins)) != 0)
        fail_msg("'%s' does not begin with '%s'", text, begins);
    /* It covers the line, and never the last column: there the terminal would begin another. */
    assert_int_equal(text_width(text), (t.width > 0 ? t.width : 80) - 1);
}

static void test_lines(void **state)
{
    check((struct progress){450, 1000, 3}, (struct terminal){.width = 80},
          "[##################                      ] 450 of 1000, 3 failed ");
    check((struct progress){450, 1000, 3}, (struct terminal){.width = 40}, "[######         ] 450 of 1000, 3 failed");
    check((struct progress){450, 1000, 3}, (struct terminal){.width = 30}, "450 of 1000, 3 failed");
    check((struct progress){5, 10, 0}, (struct terminal){.width = 80, .symbols = true},
          "[████████████████████                    ] 5 of 10, 0 failed");
    /* what is not known yet, what is over, and more than there was to be */
    check((struct progress){0, 0, 0}, (struct terminal){.width = 80}, "0 of 0, 0 failed ");
    check((struct progress){10, 10, 10}, (struct terminal){0}, "[########################################] 10 of 10");
    check((struct progress){12, 10, 0}, (struct terminal){0}, "[########################################] 12 of 10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
