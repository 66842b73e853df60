/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Allocations of the program, but not of shared libraries, that fail when a test wants them to. Included by tests that
 * are linked with `no_memory`, after cmocka.h. */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Of this thread: after so many, so many. */
static _Thread_local unsigned fail_after, failing;

void *real_realloc(void *p, size_t size) __asm__("__real_realloc");
void *wrap_realloc(void *p, size_t size) __asm__("__wrap_realloc");
void *real_reallocarray(void *p, size_t n, size_t size) __asm__("__real_reallocarray");
void *wrap_reallocarray(void *p, size_t n, size_t size) __asm__("__wrap_reallocarray");
void *real_malloc(size_t size) __asm__("__real_malloc");
void *wrap_malloc(size_t size) __asm__("__wrap_malloc");

static inline bool allocation_fails(void)
{
    if (fail_after > 0) {
        fail_after--;
        return false;
    }
    if (failing == 0)
        return false;
    failing--;
    errno = ENOMEM;
    return true;
}

void *wrap_realloc(void *p, size_t size)
{
    return allocation_fails() ? NULL : real_realloc(p, size);
}

void *wrap_reallocarray(void *p, size_t n, size_t size)
{
    return allocation_fails() ? NULL : real_reallocarray(p, n, size);
}

void *wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : real_malloc(size);
}
