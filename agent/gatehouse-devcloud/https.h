/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The management calls (api.h) over HTTPS: libmicrohttpd, driven by the program's own loop, and the faults between a
 * request and its being carried out. Each request is told as an event, without its body; a record, if asked for, has
 * the bodies, keys and all, in a file of mode 0600. One thread; the store and the faults must outlive it. */

#include "api.h"
#include "certificate.h"
#include "faults.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <poll.h>

struct https_options {
    const char *address; /* numeric */
    unsigned port;       /* 0: any */
    struct certificate certificate;
    struct api api;
    const char *key_file; /* one line, read again for each request; NULL: none is asked for */
    const char *record;   /* NULL: none */
};

struct https;

int https_new(struct store *s, struct faults *f, const struct https_options *o, struct https **ret, struct error *e);
struct https *https_free(struct https *h);
DEFINE_FREEP(struct https, https_free)

unsigned https_port(const struct https *h);
/* To be polled for reading; https_process() after each poll, whatever came of it. */
int https_fd(const struct https *h);
void https_process(struct https *h);
/* Milliseconds until https_process() is due in any case; -1: none. */
int https_timeout(const struct https *h);

/* Carries out what was kept by the fault apply-late; how many requests that were. */
size_t https_deliver(struct https *h);
