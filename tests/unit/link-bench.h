/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host in a loop, and peers made by hand on sockets of their own. */

#include "link/host.h"

#include <stdio.h>

/* after what it needs */
#include <cmocka.h>

#define BENCH_HELD_MAX 16

struct bench {
    char directory[64];
    sd_event *event;
    struct workers *workers;
    struct link_host *host;
    struct link_driver *driver; /* the one that changed last */
    bool hold;                  /* reports are left unanswered */
    int answer;                 /* to reports */
    const char *refused;        /* ... of this device: none can be kept */
    size_t n_refused;           /* times */
    struct link_report *held[BENCH_HELD_MAX];
    size_t n_held, reports, samples, states;
    int64_t last;
    size_t disorder; /* samples that did not follow the one before */
    char state[256];
    int passed; /* a descriptor that was heard */
};

int bench_setup(void **state);
int bench_teardown(void **state);
/* With the devices a and b of the driver sim. */
void start_host(struct bench *f, bool self_naming);

void run_until(struct bench *f, const bool *flag);
void run_until_count(struct bench *f, const size_t *count, size_t wanted);
/* Until that driver has no connection. */
void run_until_away(struct bench *f, const char *driver);

int connect_peer(struct bench *f);
/* A packet in the words of link-packets.h. */
void say(int peer, const char *words);
void say_when_it_fits(struct bench *f, int peer, const char *words);
int send_words(int peer, const char *words);
void say_with(int peer, const char *words, int fd);
/* A report of n samples of the device a. */
void say_samples(int peer, uint64_t serial, size_t n);
/* The next packet of the host's as words without their marks, until the next call; NULL: it has closed. */
const char *hear(struct bench *f, int peer);
void hear_until(struct bench *f, int peer, const char *words);
/* The number behind `before`, which text begins with. */
long number_in(const char *text, const char *before);
int count_descriptors(void);
void ignore_complaints(int r, const struct link_failure *failure, const struct packet_complaint *complaints, size_t n,
                       void *userdata);
