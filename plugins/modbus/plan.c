/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <stdlib.h>

const char *modbus_table_name(enum modbus_table table)
{
    switch (table) {
    case TABLE_COIL:
        return "coil";
    case TABLE_DISCRETE:
        return "discrete";
    case TABLE_INPUT:
        return "input";
    case TABLE_HOLDING:
        return "holding";
    }
    return "?";
}

static int compare(const void *a, const void *b)
{
    const struct plan_item *x = a, *y = b;

    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    if (x->interval != y->interval)
        return x->interval < y->interval ? -1 : 1;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->point < y->point ? -1 : x->point > y->point;
}

static unsigned item_end(const struct plan_item *item)
{
    return (unsigned)item->address + item->count;
}

static unsigned request_end(const struct plan_request *request)
{
    return (unsigned)request->address + request->count;
}

static bool joins(const struct plan_request *request, const struct plan_item *last, const struct plan_item *item,
                  const struct plan_limits *limits)
{
    unsigned maximum = modbus_table_is_bits(request->table) ? limits->max_registers * 16 : limits->max_registers;
    unsigned end = request_end(request);

    if (last->alone || item->alone)
        return false;
    if (item->table != request->table || item->interval != request->interval)
        return false;
    if (item->address > end && item->address - end > limits->max_gap)
        return false;
    return item_end(item) <= end || item_end(item) - request->address <= maximum;
}

static struct plan_request request_of(const struct plan_item *items, size_t first, size_t n)
{
    struct plan_request request = {.table = items[first].table,
                                   .address = items[first].address,
                                   .count = items[first].count,
                                   .interval = items[first].interval,
                                   .first = first,
                                   .n = n};

    for (size_t i = first; i < first + n; i++)
        if (item_end(&items[i]) > request_end(&request))
            request.count = (uint16_t)(item_end(&items[i]) - request.address);
    return request;
}

size_t plan_make(struct plan_item *items, size_t n, const struct plan_limits *limits, struct plan_request *requests)
{
    size_t n_requests = 0;

    if (n > 0)
        qsort(items, n, sizeof items[0], compare);
    for (size_t i = 0; i < n; i++) {
        struct plan_request *last = n_requests > 0 ? &requests[n_requests - 1] : NULL;
        if (last && joins(last, &items[i - 1], &items[i], limits))
            *last = request_of(items, last->first, last->n + 1);
        else
            requests[n_requests++] = request_of(items, i, 1);
    }
    return n_requests;
}

/* Where a cut before item i keeps groups whole. */
static bool may_cut(const struct plan_item *items, const struct plan_request *request, size_t i)
{
    unsigned group = items[request->first + i].group;

    if (group == 0)
        return true;
    for (size_t k = 0; k < i; k++)
        if (items[request->first + k].group == group)
            return false;
    return true;
}

/* The cut nearest to the middle; 0 if there is none. */
static size_t middle_cut(const struct plan_item *items, const struct plan_request *request)
{
    size_t middle = request->n / 2;

    for (size_t away = 0; away < request->n; away++) {
        if (middle >= away + 1 && may_cut(items, request, middle - away))
            return middle - away;
        if (middle + away < request->n && middle + away > 0 && may_cut(items, request, middle + away))
            return middle + away;
    }
    return 0;
}

bool plan_split(const struct plan_item *items, const struct plan_request *request, struct plan_request ret[2])
{
    size_t cut = request->n < 2 ? 0 : middle_cut(items, request);
    unsigned end = item_end(&items[request->first]), widest = 0;

    if (cut == 0)
        return false;
    for (size_t i = 1; i < request->n; i++) {
        const struct plan_item *item = &items[request->first + i];
        if (item->address > end && item->address - end > widest && may_cut(items, request, i)) {
            widest = item->address - end;
            cut = i;
        }
        if (item_end(item) > end)
            end = item_end(item);
    }
    ret[0] = request_of(items, request->first, cut);
    ret[1] = request_of(items, request->first + cut, request->n - cut);
    return true;
}

struct plan_request plan_join(const struct plan_item *items, const struct plan_request *a, const struct plan_request *b)
{
    return request_of(items, a->first, a->n + b->n);
}
