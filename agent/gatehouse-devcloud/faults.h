/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Misbehaviour on demand: rules that requests are held against, in the order they were made. Pure; one thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_RULES_MAX 64
#define FAULT_PATH_MAX 128
#define FAULT_DEVICE_MAX 128

enum fault_kind {
    FAULT_SLOW,        /* an empty acknowledgement at once, the request is carried out and answered later */
    FAULT_REFUSE,      /* not carried out; answered with a code */
    FAULT_LOSE_BEFORE, /* as if the request had been lost */
    FAULT_LOSE_AFTER,  /* carried out; the answer is lost */
    FAULT_KINDS,
};

/* The control command of each kind. */
extern const char *const fault_names[FAULT_KINDS];

struct fault {
    enum fault_kind kind;
    char path[FAULT_PATH_MAX + 1];     /* "" any; else equal, or a path below it */
    char method[8];                    /* "" any */
    char device[FAULT_DEVICE_MAX + 1]; /* "" any */
    uint64_t times;                    /* how many requests more; UINT64_MAX: until cleared */
    uint64_t delay_ms;                 /* slow */
    uint8_t code;                      /* refuse, as on the wire: class << 5 | detail */
    uint32_t max_age;                  /* refuse: seconds, 0 = no option */
};

struct faults {
    struct fault rules[FAULT_RULES_MAX];
    size_t count;
};

/* -ENOBUFS */
int faults_add(struct faults *f, const struct fault *rule);
void faults_clear(struct faults *f);
/* Whether a rule of this kind is for this request; it is counted down. *ret is its copy. */
bool faults_take(struct faults *f, enum fault_kind kind, const char *method, const char *path, const char *device,
                 struct fault *ret);
