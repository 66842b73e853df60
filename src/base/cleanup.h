/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scope-bound cleanup, in the manner of systemd: a variable that owns something says so where it is declared.
 *
 *     _cleanup_free_ char *text = NULL;
 *     _cleanup_close_ int fd = -EBADF;
 *     _cleanup_(vault_freep) struct vault *vault = NULL;
 *
 * Every foo_free() takes NULL and half-built objects and returns NULL. No thread requirements. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Makes foo_freep(type **) for use with _cleanup_. */
#define DEFINE_FREEP(type, free_function)                                                                              \
    static inline void free_function##p(type **p)                                                                      \
    {                                                                                                                  \
        if (*p)                                                                                                        \
            free_function(*p);                                                                                         \
    }

#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) *_take_p = &(p);                                                                                 \
        __typeof__(p) _taken = *_take_p;                                                                               \
        *_take_p = NULL;                                                                                               \
        _taken;                                                                                                        \
    })

#define TAKE_FD(fd)                                                                                                    \
    ({                                                                                                                 \
        int *_take_fd = &(fd);                                                                                         \
        int _taken = *_take_fd;                                                                                        \
        *_take_fd = -EBADF;                                                                                            \
        _taken;                                                                                                        \
    })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b)                                                                                                   \
    ({                                                                                                                 \
        __typeof__(a) _min_a = (a);                                                                                    \
        __typeof__(b) _min_b = (b);                                                                                    \
        _min_a < _min_b ? _min_a : _min_b;                                                                             \
    })
#define MAX_OF(a, b)                                                                                                   \
    ({                                                                                                                 \
        __typeof__(a) _max_a = (a);                                                                                    \
        __typeof__(b) _max_b = (b);                                                                                    \
        _max_a > _max_b ? _max_a : _max_b;                                                                             \
    })

static inline void freep(void *p)
{
    free(*(void **)p);
}

/* Closes a descriptor if there is one; errno is kept. Returns -EBADF, to be stored in its place. */
static inline int safe_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;

        close(fd);
        errno = saved;
    }
    return -EBADF;
}

static inline void closep(int *fd)
{
    safe_close(*fd);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
