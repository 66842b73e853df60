/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which samples a driver still has, and in which order, after pushing, dropping, taking and putting back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "link/queue.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void push(struct link_queue *q, const char *device, int64_t value)
{
    const struct sample s = {.point = "p", .unit = "", .value = {.type = SAMPLE_INT, .x = value}};
    struct queued *queued = queued_new(device, &s);

    assert_non_null(queued);
    link_queue_push(q, queued);
}

/* "a:1,2" for a batch of the device a. */
static void assert_batch(const struct link_queue_batch *b, const char *expected)
{
    char text[256] = "";
    size_t n = 0;
    struct queued *s;

    TAILQ_FOREACH (s, &b->samples, by_device) {
        size_t used = strlen(text);

        if (n == 0)
            snprintf(text, sizeof(text), "%s:%lld", s->device, (long long)s->sample.value.x);
        else
            snprintf(text + used, sizeof(text) - used, ",%lld", (long long)s->sample.value.x);
        n++;
    }
    assert_string_equal(text, expected);
    assert_int_equal(n, b->n);
}

static void assert_take(struct link_queue *q, size_t max, const char *expected)
{
    struct link_queue_batch b;

    assert_true(link_queue_take(q, max, SIZE_MAX, &b));
    assert_batch(&b, expected);
    link_queue_batch_done(&b);
}

static void test_devices_in_turn(void **state)
{
    _cleanup_(link_queue_freep) struct link_queue *q = NULL;
    struct link_queue_batch b;

    assert_int_equal(link_queue_new(100, &q), 0);
    assert_false(link_queue_take(q, 10, SIZE_MAX, &b));
    for (int i = 1; i <= 5; i++)
        push(q, "a", i);
    push(q, "b", 6);
    push(q, "a", 7);
    assert_take(q, 2, "a:1,2");
    assert_take(q, 2, "b:6");
    assert_take(q, 10, "a:3,4,5,7");
    assert_false(link_queue_take(q, 10, SIZE_MAX, &b));
    assert_int_equal(link_queue_dropped(q), 0);
}

static void test_oldest_goes(void **state)
{
    _cleanup_(link_queue_freep) struct link_queue *q = NULL;

    assert_int_equal(link_queue_new(3, &q), 0);
    push(q, "a", 1);
    push(q, "b", 2);
    push(q, "a", 3);
    push(q, "b", 4);
    push(q, "b", 5);
    assert_int_equal(link_queue_dropped(q), 2);
    assert_int_equal(link_queue_length(q), 3);
    assert_take(q, 10, "a:3");
    assert_take(q, 10, "b:4,5");
}

static void test_put_back(void **state)
{
    _cleanup_(link_queue_freep) struct link_queue *q = NULL;
    struct link_queue_batch first, second;

    assert_int_equal(link_queue_new(5, &q), 0);
    for (int i = 1; i <= 4; i++)
        push(q, "a", i);
    assert_true(link_queue_take(q, 2, SIZE_MAX, &first));
    assert_true(link_queue_take(q, 2, SIZE_MAX, &second));
    push(q, "a", 5);
    push(q, "a", 6);
    /* the newest first, as after a broken connection; there is room for three of the four */
    link_queue_batch_back(q, &second);
    link_queue_batch_back(q, &first);
    assert_int_equal(link_queue_dropped(q), 1);
    assert_take(q, 10, "a:2,3,4,5,6");
}

static void test_put_back_into_a_full_queue(void **state)
{
    _cleanup_(link_queue_freep) struct link_queue *q = NULL;
    struct link_queue_batch b;

    assert_int_equal(link_queue_new(1, &q), 0);
    push(q, "a", 1);
    assert_true(link_queue_take(q, 1, SIZE_MAX, &b));
    push(q, "b", 2);
    link_queue_batch_back(q, &b);
    assert_int_equal(link_queue_dropped(q), 1);
    assert_take(q, 10, "b:2");
    assert_false(link_queue_take(q, 10, SIZE_MAX, &b));
}

static void test_strings_are_copied(void **state)
{
    char device[] = "dev", point[] = "point", unit[] = "Cel", text[] = "open";
    const struct sample s = {.point = point, .unit = unit, .value = {.type = SAMPLE_STRING, .s = text}};
    struct queued *queued = queued_new(device, &s);

    memset(device, 'x', 3);
    memset(point, 'x', 5);
    memset(unit, 'x', 3);
    memset(text, 'x', 4);
    assert_string_equal(queued->device, "dev");
    assert_string_equal(queued->sample.point, "point");
    assert_string_equal(queued->sample.unit, "Cel");
    assert_string_equal(queued->sample.value.s, "open");
    free(queued);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices_in_turn),    cmocka_unit_test(test_oldest_goes),
        cmocka_unit_test(test_put_back),           cmocka_unit_test(test_put_back_into_a_full_queue),
        cmocka_unit_test(test_strings_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
