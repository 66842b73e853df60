/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The map against an array that holds the same, while entries come and go; and that churn leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

struct item {
    struct map_node node;
    unsigned number;
    int there;
};

static int equal(const struct map_node *node, const void *key)
{
    return MAP_ENTRY(node, const struct item, node)->number == *(const unsigned *)key;
}

#define N 1000

static void test_against_array(void **state)
{
    struct item *items = calloc(N, sizeof(*items));
    struct map map = {0};
    size_t count = 0, seen = 0;
    uint32_t x = 1;

    assert_null(map_find(&map, 1, equal, &x));
    assert_null(map_next(&map, NULL));
    for (unsigned round = 0; round < 100000; round++) {
        unsigned i = (x = x * 1664525 + 1013904223) >> 8, number;

        i %= N;
        number = i;
        /* A quarter of the hashes collide whole. */
        if (items[i].there) {
            struct map_node *found = map_find(&map, i % 4 ? i : 7, equal, &number);

            assert_ptr_equal(found, &items[i].node);
            map_remove(&map, found);
            assert_null(map_find(&map, i % 4 ? i : 7, equal, &number));
        } else {
            items[i].number = i;
            assert_int_equal(map_insert(&map, &items[i].node, i % 4 ? i : 7), 0);
        }
        items[i].there = !items[i].there;
        count += items[i].there ? 1 : (size_t)-1;
        assert_int_equal(map.count, count);
    }
    for (struct map_node *node = map_next(&map, NULL), *next; node; node = next, seen++) {
        next = map_next(&map, node);
        assert_true(MAP_ENTRY(node, struct item, node)->there);
        map_remove(&map, node);
    }
    assert_int_equal(seen, count);
    assert_int_equal(map.count, 0);
    map_done(&map);
    free(items);
}

static void test_churn_does_not_grow(void **state)
{
    struct item item = {0};
    struct map map = {0};

    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(map_insert(&map, &item.node, i), 0);
        map_remove(&map, &item.node);
    }
    assert_true(map.n_buckets <= 16);
    map_done(&map);
}

static void test_hash(void **state)
{
    assert_true(map_hash_text("a") == map_hash_text("a"));
    assert_true(map_hash_text("a") != map_hash_text("b"));
    assert_true(map_hash_combine(1, 2) != map_hash_combine(2, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_churn_does_not_grow),
        cmocka_unit_test(test_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
