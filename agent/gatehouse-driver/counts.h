/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counts of a plugin about a device, by name. Embedded; zeroed is empty. Any thread between init and done. */

#include <json-c/json.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT_NAME_MAX 31

struct count {
    char name[COUNT_NAME_MAX + 1];
    uint64_t value;
};

struct counts {
    pthread_mutex_t mutex;
    struct count *list; /* in the order of their first appearance */
    size_t n;
};

void counts_init(struct counts *c);
void counts_done(struct counts *c);
/* -EINVAL: the name, -ENOSPC: DEVICE_COUNTS_MAX, -ENOMEM. */
int counts_set(struct counts *c, const char *name, uint64_t value);
/* Name to value; NULL: out of memory. */
json_object *counts_json(struct counts *c);
