/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static uint64_t update(struct told *t, const char *id, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t hashes[] = {a, b, c};

    return told_update(t, id, hashes, 3);
}

static void test_only_what_has_changed(void **state)
{
    _cleanup_(told_freep) struct told *t = told_new();

    assert_true(update(t, "a", 1, 2, 3) == 7);
    assert_true(update(t, "a", 1, 2, 3) == 0);
    assert_true(update(t, "a", 1, 5, 3) == 2);
    assert_true(update(t, "a", 4, 5, 6) == 5);
    assert_true(update(t, "a", 1, 2, 3) == 7);
}

static void test_each_object_by_itself(void **state)
{
    _cleanup_(told_freep) struct told *t = told_new();
    char id[16];

    for (uint64_t i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "d%u", (unsigned)i);
        assert_true(update(t, id, i, i, i) == 7);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "d%u", (unsigned)i);
        assert_true(update(t, id, i, i, i + 1) == 4);
    }
}

/* Who comes later was told nothing. */
static void test_forgotten_is_told_whole(void **state)
{
    _cleanup_(told_freep) struct told *t = told_new();

    (void)update(t, "a", 1, 2, 3);
    (void)update(t, "b", 1, 2, 3);
    told_forget(t, "a");
    told_forget(t, "nobody");
    assert_true(update(t, "a", 1, 2, 3) == 7);
    assert_true(update(t, "b", 1, 2, 3) == 0);
    told_empty(t);
    assert_true(update(t, "a", 1, 2, 3) == 7);
    assert_true(update(t, "b", 1, 2, 3) == 7);
}

static void test_another_number_of_them(void **state)
{
    _cleanup_(told_freep) struct told *t = told_new();
    const uint64_t hashes[TOLD_PROPERTIES_MAX] = {0};

    (void)update(t, "a", 1, 2, 3);
    assert_true(told_update(t, "a", hashes, TOLD_PROPERTIES_MAX) == UINT64_MAX);
    assert_true(told_update(t, "a", hashes, TOLD_PROPERTIES_MAX) == 0);
}

/* Who has read another value in between has to hear of the old one again, and only of that. */
static void test_what_was_read_in_between_is_told(void **state)
{
    _cleanup_(told_freep) struct told *t = told_new();
    const uint64_t same[] = {1, 2, 3}, other[] = {1, 5, 3}, last[] = {6};

    told_shown(t, "a", 0, other, 3); /* nothing was told yet */
    assert_true(update(t, "a", 1, 2, 3) == 7);
    told_shown(t, "a", 0, same, 3);
    assert_true(update(t, "a", 1, 2, 3) == 0);
    told_shown(t, "a", 0, other, 3);
    told_shown(t, "b", 0, other, 3);
    told_shown(t, "a", 0, same, 3); /* by somebody else: the first one knows nothing of it */
    assert_true(update(t, "a", 1, 2, 3) == 2);
    assert_true(update(t, "a", 1, 2, 3) == 0);
    told_shown(t, "a", 2, last, 1);
    assert_true(update(t, "a", 4, 2, 3) == 5);
    assert_true(update(t, "a", 4, 2, 3) == 0);
    told_shown(t, "a", 3, last, 1); /* there is none */
    assert_true(update(t, "a", 4, 2, 3) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_has_changed),
        cmocka_unit_test(test_each_object_by_itself),
        cmocka_unit_test(test_forgotten_is_told_whole),
        cmocka_unit_test(test_another_number_of_them),
        cmocka_unit_test(test_what_was_read_in_between_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
