/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of a configuration as a whole: gatehouse.json, devices.d/ and profiles/. A tree is read, two are compared,
 * and the difference is put in place, or taken back. Blocking. */

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct apply_file {
    char *name; /* below the directory, as "devices.d/boiler-1.json" */
    char *text;
    size_t n;
};

struct apply_tree {
    struct apply_file *files; /* in the order of their names */
    size_t n;
    unsigned folders; /* bits: which of them there are, gatehouse.json counting as one */
};

/* `strict`: anything else in it is refused, except hidden files and backups of editors; otherwise it is passed over.
 * -ENOENT: the directory is not there. */
int apply_read(const char *directory, bool strict, struct apply_tree *ret, struct error *e);
void apply_tree_done(struct apply_tree *tree);

/* Steps after which `present` is `wanted`, in those folders that `wanted` has. */
struct apply_change {
    const char *name;
    const struct apply_file *before, *after; /* NULL: not there */
};
struct apply_changes {
    struct apply_change *list; /* points into the two trees */
    size_t n;
};
int apply_compare(const struct apply_tree *present, const struct apply_tree *wanted, struct apply_changes *ret);
void apply_changes_done(struct apply_changes *changes);

/* Carries the changes out, each file durably; if one fails those before it are taken back; what could not be
 * is said in `left`. */
int apply_publish(const char *directory, const struct apply_changes *changes, struct error *left, struct error *e);
/* All of them. Goes on behind an error, and returns the first. */
int apply_take_back(const char *directory, const struct apply_changes *changes, struct error *e);

/* A copy elsewhere of how it is going to be: the files of `wanted`, and in folders that it has not those of `present`.
 */
int apply_stage(const char *directory, const struct apply_tree *present, const struct apply_tree *wanted,
                struct error *e);
/* Removes such a copy. */
void apply_unstage(const char *directory);
