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
    /* of the management calls only: */
    FAULT_LATE,    /* not answered; carried out after the next call of the same method and path */
    FAULT_PRETEND, /* answered as if carried out */
    FAULT_HALF,    /* carried out; the answer breaks off in its middle */
    FAULT_STALE,   /* answered from before the last change */
    FAULT_KINDS,
};

/* The control command of each kind. */
extern const char *const fault_names[FAULT_KINDS];

struct fault {
    enum fault_kind kind;
    char path[FAULT_PATH_MAX + 1];     /* "" any; else equal, or a path below it; "*" stands for a segment */
    char method[8];                    /* "" any */
    char device[FAULT_DEVICE_MAX + 1]; /* "" any */
    uint64_t times;                    /* how many requests more; UINT64_MAX: until cleared */
    uint64_t delay_ms;                 /* slow */
    uint16_t code;                     /* refuse: as CoAP has it, class << 5 | detail; or from 400 on of HTTP */
    uint32_t max_age;                  /* refuse: seconds, 0 = no option or header */
};

struct faults {
    struct fault rules[FAULT_RULES_MAX];
    size_t count;
};

/* -ENOBUFS */
int faults_add(struct faults *f, const struct fault *rule);
void faults_clear(struct faults *f);
/* Whether a rule of this kind is for this request; it is counted down. *ret is its copy. A path of HTTP begins with
 * '/', one of CoAP does not. */
bool faults_take(struct faults *f, enum fault_kind kind, const char *method, const char *path, const char *device,
                 struct fault *ret);
