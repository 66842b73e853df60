/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "natural.h"

#include <stdlib.h>
#include <string.h>

/* In the order that people expect. */
static const char *const ordered[] = {
    "",
    "-1",
    "1",
    "01",
    "2",
    "10",
    "010",
    "B",
    "a",
    "boiler",
    "boiler-1",
    "boiler-2",
    "boiler-02",
    "boiler-2a",
    "boiler-2b",
    "boiler-10",
    "line-1.2",
    "line-1.10",
    "line-2.1",
    "meter-2",
    "meter-10",
    "meter-99999999999999999999999998",
    "meter-99999999999999999999999999",
    "meter-100000000000000000000000000",
    "x0y",
    "x00y",
    "\xc3\xa4",
};

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void test_order(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(ordered); i++)
        for (size_t k = 0; k < ELEMENTSOF(ordered); k++)
            if (sign(natural_compare(ordered[i], ordered[k])) != sign((i > k) - (i < k)))
                fail_msg("'%s' and '%s'", ordered[i], ordered[k]);
}

/* qsort() needs an order: tried on all triples of short texts of the characters that matter. */
static void test_is_an_order(void **state)
{
    static const char letters[] = "a10-";
    char texts[84][4];
    size_t n = 0;

    for (size_t length = 1; length <= 3; length++)
        for (size_t code = 0; code < (size_t)1 << (2 * length); code++, n++) {
            for (size_t i = 0; i < length; i++)
                texts[n][i] = letters[code >> (2 * i) & 3];
            texts[n][length] = 0;
        }
    assert_int_equal(n, ELEMENTSOF(texts));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            int ij = sign(natural_compare(texts[i], texts[j]));

            assert_int_equal(ij, -sign(natural_compare(texts[j], texts[i])));
            assert_int_equal(ij == 0, strcmp(texts[i], texts[j]) == 0);
            for (size_t k = 0; k < n; k++)
                if (ij <= 0 && natural_compare(texts[j], texts[k]) <= 0 && natural_compare(texts[i], texts[k]) > 0)
                    fail_msg("%s <= %s <= %s", texts[i], texts[j], texts[k]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_is_an_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
