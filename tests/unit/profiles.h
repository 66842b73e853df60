/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Profiles for tests: those that are shipped, and others from a text. */

#include "payload/profile.h"

#include <cmocka.h>
#include <string.h>

#define PROFILES FIXTURES_DIR "/../../etc/profiles"

static const struct profile_names names = {"boiler-1", "HW-1", "abcdefghij", "site-7", 50};

static inline struct profile *shipped(const char *name)
{
    static const char *const directories[] = {"/nonexistent", PROFILES, NULL};
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_free_ char *text = NULL;
    struct profile *p = NULL;

    if (profile_load(directories, name, &p, &m) < 0) {
        mistakes_format(&m, &text);
        fail_msg("%s: %s", name, text ?: "");
    }
    return p;
}

static inline struct profile *parsed(const char *text)
{
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_free_ char *copy = strdup(text), *all = NULL;
    struct profile *p = NULL;

    if (profile_parse("test.json", copy, strlen(copy), &p, &m) < 0) {
        mistakes_format(&m, &all);
        fail_msg("%s\n%s", text, all ?: "");
    }
    return p;
}
