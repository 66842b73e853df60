/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "modbus/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define ITEMS_MAX 300

/* Items as "TABLE ADDRESS+COUNT[@INTERVAL]" (c, d, i, h), and the requests that they must give. */
static const struct {
    unsigned max_gap, max_registers;
    const char *items;
    const char *requests;
} cases[] = {
    {0, 125, "", ""},
    {0, 125, "i 0+1", "i0+1"},
    {0, 125, "i 0+1 i 1+2 i 3+4", "i0+7"},
    {0, 125, "i 3+4 i 0+1 i 1+2", "i0+7"},
    {0, 125, "i 0+1 i 2+1", "i0+1 i2+1"},
    {1, 125, "i 0+1 i 2+1", "i0+3"},
    {1, 125, "i 0+1 i 3+1", "i0+1 i3+1"},
    {0, 125, "i 0+4 i 0+1 i 1+1", "i0+4"}, /* over each other */
    {0, 125, "i 5+1 i 5+1 i 5+1", "i5+1"},
    {9, 125, "i 0+1 h 1+1 c 2+1 d 3+1", "c2+1 d3+1 i0+1 h1+1"}, /* never across tables */
    {0, 125, "i 0+1@1 i 1+1@2 i 2+1@1", "i0+1 i2+1 i1+1"},      /* nor across intervals */
    {0, 125, "i 0+100 i 100+25 i 125+1", "i0+125 i125+1"},      /* the protocol's maximum */
    {0, 125, "i 0+100 i 100+26", "i0+100 i100+26"},
    {0, 10, "i 0+4 i 4+4 i 8+4 i 12+4", "i0+8 i8+8"}, /* no value is cut */
    {0, 2, "i 0+4 i 4+1", "i0+4 i4+1"},               /* larger than the maximum: alone */
    {125, 125, "i 65535+1 i 65534+1", "i65534+2"},
    {0, 125, "c 0+1 c 1+1 c 2+1", "c0+3"},
    {125, 125, "c 0+1 c 120+1 c 240+1", "c0+241"},
    {125, 1, "c 0+1 c 15+1 c 16+1", "c0+16 c16+1"}, /* sixteen bits a register */
};

static size_t parse(const char *text, struct plan_item *items)
{
    static const char tables[] = "cdih";
    size_t n = 0;

    while (*text) {
        unsigned address, count, used;
        unsigned long long interval = 1;
        char table, end;
        int used_now = 0;
        assert_int_equal(sscanf(text, " %c %u+%u%n", &table, &address, &count, &used_now), 3);
        used = (unsigned)used_now;
        if (sscanf(text + used, "@%llu%n", &interval, &used_now) == 1)
            used += (unsigned)used_now;
        items[n] = (struct plan_item){.table = (enum modbus_table)(strchr(tables, table) - tables),
                                      .address = (uint16_t)address,
                                      .count = (uint16_t)count,
                                      .interval = interval,
                                      .point = n};
        n++;
        text += used;
        end = *text;
        assert_true(end == '\0' || end == ' ');
    }
    return n;
}

static void format(const struct plan_request *requests, size_t n, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%c%u+%u", i ? " " : "", "cdih"[requests[i].table],
                                 requests[i].address, requests[i].count);
}

static void test_merging(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        struct plan_limits limits = {cases[i].max_gap, cases[i].max_registers};
        struct plan_request requests[16];
        struct plan_item items[16];
        char text[256];
        size_t n = parse(cases[i].items, items);
        format(requests, plan_make(items, n, &limits, requests), text, sizeof text);
        assert_string_equal(text, cases[i].requests);
    }
}

/* Whatever the items: each is in exactly one request, whole, and no request is larger than allowed. */
static void test_invariants(void **state)
{
    static struct plan_request requests[ITEMS_MAX];
    static struct plan_item items[ITEMS_MAX];

    (void)state;
    srandom(1);
    for (int round = 0; round < 2000; round++) {
        struct plan_limits limits = {(unsigned)random() % 20, 4 + (unsigned)random() % 122};
        size_t n = (size_t)random() % ITEMS_MAX, next = 0;
        for (size_t i = 0; i < n; i++)
            items[i] = (struct plan_item){.table = (enum modbus_table)(random() % 4),
                                          .address = (uint16_t)(random() % 1000),
                                          .count = (uint16_t)(1 + random() % 4),
                                          .interval = 1 + (uint64_t)random() % 2,
                                          .point = i};
        size_t n_requests = plan_make(items, n, &limits, requests);
        for (size_t k = 0; k < n_requests; k++) {
            const struct plan_request *q = &requests[k];
            assert_int_equal(q->first, next);
            next += q->n;
            assert_true(q->n >= 1);
            assert_true(q->count <= (modbus_table_is_bits(q->table) ? 16 : 1) * limits.max_registers);
            for (size_t i = q->first; i < next; i++) {
                assert_true(items[i].table == q->table && items[i].interval == q->interval);
                assert_true(items[i].address >= q->address);
                assert_true(items[i].address + items[i].count <= q->address + q->count);
            }
        }
        assert_int_equal(next, n);
    }
}

static const struct {
    const char *items;
    unsigned max_gap;
    const char *halves; /* NULL: cannot be split */
} splits[] = {
    {"i 0+1", 9, NULL},
    {"i 0+1 i 1+1", 9, "i0+1 i1+1"},
    {"i 0+1 i 1+1 i 2+1 i 3+1", 9, "i0+2 i2+2"},
    {"i 0+1 i 2+1 i 3+1 i 4+1", 9, "i0+1 i2+3"}, /* first at the gap: nobody asked for what is in it */
    {"i 0+1 i 2+1 i 6+1 i 8+1", 9, "i0+3 i6+3"},
    {"i 0+4 i 0+1", 9, "i0+1 i0+4"},
};

static void test_splitting(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(splits); i++) {
        struct plan_limits limits = {splits[i].max_gap, 125};
        struct plan_request request[16], halves[2];
        struct plan_item items[16];
        char text[128];
        assert_int_equal(plan_make(items, parse(splits[i].items, items), &limits, request), 1);
        bool done = plan_split(items, &request[0], halves);
        assert_int_equal(done, splits[i].halves != NULL);
        if (!done)
            continue;
        assert_int_equal(halves[0].n + halves[1].n, request[0].n);
        format(halves, 2, text, sizeof text);
        assert_string_equal(text, splits[i].halves);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merging),
        cmocka_unit_test(test_invariants),
        cmocka_unit_test(test_splitting),
    };

    return cmocka_run_group_tests_name("modbus-plan", tests, NULL, NULL);
}
