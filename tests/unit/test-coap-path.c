/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/path.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CEILING 1200

/* A path that loses what is larger than `mtu`: how many datagrams it takes until one passes. */
static unsigned find(struct coap_path *p, size_t mtu, uint64_t now)
{
    for (unsigned lost = 0; lost < 20; lost++) {
        size_t size = coap_path_max(p, CEILING, now);

        if (size <= mtu) {
            coap_path_passed(p, size);
            return lost;
        }
        assert_true(coap_path_lost(p, size, now));
    }
    fail();
    return 0;
}

static void test_found(void **state)
{
    for (size_t mtu = COAP_DATAGRAM_MIN; mtu <= CEILING; mtu += 4) {
        struct coap_path p = {0};

        assert_true(find(&p, mtu, 1) <= 4);
        assert_true(coap_path_max(&p, CEILING, 1) * 9 / 5 > mtu || mtu == CEILING);
    }
}

static void test_size_is_not_the_reason(void **state)
{
    struct coap_path p = {0};

    assert_false(coap_path_lost(&p, COAP_DATAGRAM_MIN, 1));
    assert_int_equal(coap_path_max(&p, CEILING, 1), CEILING);
}

/* A day of tries on a narrow path costs few datagrams; a path that is wide again is found so. */
static void test_raised(void **state)
{
    struct coap_path p = {0};
    unsigned lost = find(&p, 600, 1);

    for (uint64_t now = 1; now < USEC_PER_DAY; now += USEC_PER_MINUTE)
        lost += find(&p, 600, now);
    assert_in_range(lost, 4, 16);
    for (uint64_t now = USEC_PER_DAY; now < 4 * USEC_PER_DAY; now += USEC_PER_MINUTE)
        (void)find(&p, CEILING, now);
    assert_int_equal(coap_path_max(&p, CEILING, 4 * USEC_PER_DAY), CEILING);
    assert_int_equal(p.bound, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_size_is_not_the_reason),
        cmocka_unit_test(test_raised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
