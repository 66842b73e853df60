/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is new among what BlueZ keeps of a sensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ble/fresh.h"

#include <string.h>

#define COMPANY(id, text)                                                                                              \
    {                                                                                                                  \
        id, (const uint8_t *)(text), sizeof(text) - 1                                                                  \
    }
#define SERVICE(id, text)                                                                                              \
    {                                                                                                                  \
        id, (const uint8_t *)(text), sizeof(text) - 1                                                                  \
    }

static void test_news(void **state)
{
    struct advert_manufacturer m[4];
    struct advert_service s[4];
    struct fresh f = {.n = 0};
    size_t n_m = 2, n_s = 1;

    memcpy(m, (struct advert_manufacturer[]){COMPANY(1, "a"), COMPANY(2, "b")}, 2 * sizeof *m);
    s[0] = (struct advert_service)SERVICE("fcd2", "x");
    fresh_filter(&f, m, &n_m, s, &n_s);
    assert_true(n_m == 2 && n_s == 1); /* all of the first */

    n_m = 3, n_s = 1;
    memcpy(m, (struct advert_manufacturer[]){COMPANY(1, "a"), COMPANY(2, "c"), COMPANY(3, "d")}, 3 * sizeof *m);
    s[0] = (struct advert_service)SERVICE("FCD2", "x"); /* of either case */
    fresh_filter(&f, m, &n_m, s, &n_s);
    assert_true(n_m == 2 && m[0].company == 2 && m[1].company == 3 && n_s == 0);

    n_m = 1, n_s = 1;
    m[0] = (struct advert_manufacturer)COMPANY(2, "b"); /* as at first, and different from the last */
    s[0] = (struct advert_service)SERVICE("fcd2", "");
    fresh_filter(&f, m, &n_m, s, &n_s);
    assert_true(n_m == 1 && n_s == 1);

    fresh_forget(&f);
    n_m = 1, n_s = 0;
    m[0] = (struct advert_manufacturer)COMPANY(2, "b");
    fresh_filter(&f, m, &n_m, s, &n_s);
    assert_int_equal(n_m, 1);
}

/* More ids than are remembered: the oldest gives way, and none is left out that is new. */
static void test_many(void **state)
{
    struct fresh f = {.n = 0};
    size_t n, none = 0;

    for (uint16_t turn = 0; turn < 100; turn++)
        for (int again = 0; again < 2; again++) {
            struct advert_manufacturer m[] = {COMPANY(7, "same"), COMPANY((uint16_t)(100 + turn), "t")};

            m[0].n = 1 + turn % 4;
            n = 2;
            fresh_filter(&f, m, &n, NULL, &none);
            assert_int_equal(n, again ? 0 : 2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_news), cmocka_unit_test(test_many)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
