/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the layer of cut-layer.c shares with tests/prove/cut_layer.py (the page) and tests/prove/disk.py (the journal).
 * Both ends run on the same machine, in its byte order. */

#include <stdatomic.h>
#include <stdint.h>

#define CUT_PAGE_SIZE 4096

enum cut_call {
    CALL_WRITE,
    CALL_PWRITE,
    CALL_WRITEV,
    CALL_PWRITEV,
    CALL_FSYNC,
    CALL_FDATASYNC,
    CALL_TRUNCATE,
    CALL_RENAME,
    CALL_RENAMEAT,
    CALL_LINK,
    CALL_LINKAT,
    CALL_UNLINK,
    CALL_UNLINKAT,
    CALL_MKDIR,
    CALL_CREATE,
    CALL_SEND, /* from here on not about files */
    CALL_SENDTO,
    CALL_SENDMSG,
    CALLS,
};

/* The holder writes armed last, and clears it before the program is started again. */
struct cut_page {
    _Atomic uint64_t armed;
    uint64_t calls;        /* which kinds count, a bit each */
    uint64_t after;        /* 1: the call is made, then the process ends */
    _Atomic uint64_t left; /* the process ends at the call that brings it to 0 */
    uint64_t cut;          /* the kind at which it ended + 1, or 0 */
    _Atomic uint64_t made[32];
    char names[32][16];
    /* Calls that may still find, or have found, that they are the one, though armed is cleared; 0 when a program
     * begins. */
    _Atomic uint64_t deciding;
};
_Static_assert(CALLS <= 32 && sizeof(struct cut_page) <= CUT_PAGE_SIZE, "the page holds it");

enum cut_change {
    CHANGE_CREATE,   /* first: the path, which may have been there; inode */
    CHANGE_WRITE,    /* inode, at; first: the data */
    CHANGE_TRUNCATE, /* inode, at: the new size */
    CHANGE_SYNC,     /* inode, of a file or a directory */
    CHANGE_MKDIR,    /* first: the path; inode */
    CHANGE_UNLINK,   /* first: the path, of a directory too */
    CHANGE_RENAME,   /* first: from, second: to */
    CHANGE_LINK,     /* first: of this, second: a name more */
};

struct cut_record {
    uint32_t change;
    uint32_t n_first, n_second; /* bytes that follow */
    uint32_t unused;
    uint64_t inode;
    uint64_t at;
};
