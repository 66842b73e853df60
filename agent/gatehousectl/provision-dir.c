/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* provision --directory: the lists that an image brings along, each taken once.
 *
 * A list is handed over with --skip-existing, then NAME.csv.done is written durably, then the list is deleted: keys are
 * not to lie about once the vault has them. Ended before NAME.csv.done, the next run hands the same list over again,
 * and what it had made already is skipped; ended behind it, the next run finds NAME.csv.done and only deletes. A list
 * with a key that was not taken, because its device has another, becomes NAME.csv.kept instead. */
#include "ctl.h"

#include "base/durable.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define LIST ".csv"
#define REGISTERED ".registered" LIST
#define TAKEN LIST ".taken"
#define DONE ".done"
#define KEPT ".kept"
#define NAME_SPACE (NAME_MAX + 16)

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && strcmp(name + n - k, end) == 0;
}

static int is_list(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && ends(entry->d_name, LIST);
}

static int is_taken(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && ends(entry->d_name, TAKEN);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Of the list itself, or of all; *ret NULL: neither is there. */
static int read_template(int directory, const char *list, char **ret, struct error *e)
{
    char name[NAME_MAX + 1];
    size_t n;
    int r;

    snprintf(name, sizeof(name), "%.*s.json", (int)(strlen(list) - strlen(LIST)), list);
    r = file_read(directory, name, CONFIG_FILE_MAX, ret, &n, e);
    return r == -ENOENT ? file_read(directory, "template.json", CONFIG_FILE_MAX, ret, &n, e) : r;
}

/* A list that was taken: noted, and deleted. `name` is without the end that says so. Exit status. */
static int finish(struct ctl *c, int directory, const char *name)
{
    char taken[NAME_SPACE], done[NAME_SPACE], when[PRINT_TIME_MAX], text[PRINT_TIME_MAX + 16];
    struct error e = {0};
    int r;

    snprintf(taken, sizeof(taken), "%s.taken", name);
    snprintf(done, sizeof(done), "%s" DONE, name);
    snprintf(text, sizeof(text), "taken %s\n", print_time_text((uint64_t)time(NULL) * 1000000, when));
    r = durable_write(directory, done, text, strlen(text), 0600, &e);
    if (r >= 0)
        r = durable_unlink(directory, taken, &e);
    if (r < 0) {
        print_error("%s/%s was taken, and cannot be deleted: %s", c->list_dir, name, e.text);
        return EXIT_FAILURE;
    }
    json_object_array_add(json_object_object_get(ctl_result(c), "lists"), json_object_new_string(name));
    print_say(c, "%s/%s: taken, and deleted", c->list_dir, name);
    return 0;
}

/* Finishes an earlier run. Exit status. */
static int finish_taken(struct ctl *c, int directory)
{
    struct dirent **entries = NULL;
    int n = scandir(c->list_dir, &entries, is_taken, by_name), status = 0;

    for (int i = 0; i < n; i++) {
        char name[NAME_SPACE];
        int r;

        snprintf(name, sizeof(name), "%.*s", (int)(strlen(entries[i]->d_name) - strlen(".taken")), entries[i]->d_name);
        r = finish(c, directory, name);
        status = status != 0 ? status : r;
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* Exit status. */
static int take(struct ctl *c, int directory, const char *name)
{
    _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    _cleanup_free_ char *template = NULL;
    char taken[NAME_SPACE];
    struct error e = {0};
    bool unused = false;
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        print_error("%s/%s: expected a regular file that can be read", c->list_dir, name);
        return EXIT_FAILURE;
    }
    r = read_template(directory, name, &template, &e);
    if (r < 0 && r != -ENOENT) {
        print_error("%s/%s: its template: %s", c->list_dir, name, e.text);
        return EXIT_FAILURE;
    }
    r = provision_list(c, fd, "csv", template, c->registered || ends(name, REGISTERED), &unused);
    if (r != 0) {
        print_error("%s/%s stays, and is taken once it is mended", c->list_dir, name);
        return r;
    }
    snprintf(taken, sizeof(taken), "%s%s", name, unused ? KEPT : ".taken");
    if (durable_rename(directory, name, taken, &e) < 0) {
        print_error("%s/%s: %s", c->list_dir, name, e.text);
        return EXIT_FAILURE;
    }
    if (unused)
        print_warning("%s/%s has keys that were not taken, and is kept as %s: delete it once they are not needed",
                      c->list_dir, name, taken);
    return unused ? 0 : finish(c, directory, name);
}

int provision_directory(struct ctl *c)
{
    _cleanup_close_ int directory = open(c->list_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **entries = NULL;
    int n, status = 0;

    if (c->template || (c->format && strcmp(c->format, "csv") != 0)) {
        print_error(
            "provision: with --directory lists are csv, and NAME.json or template.json beside them is the template");
        return EXIT_USAGE;
    }
    /* Two at once would hand a list over twice. */
    if (directory < 0 || flock(directory, LOCK_EX) < 0) {
        print_error("%s: %m", c->list_dir);
        return EXIT_FAILURE;
    }
    json_object_object_add(ctl_result(c), "lists", json_object_new_array());
    c->skip = true;
    status = finish_taken(c, directory);
    n = scandir(c->list_dir, &entries, is_list, by_name);
    for (int i = 0; i < n; i++) {
        int r = take(c, directory, entries[i]->d_name);

        status = status != 0 ? status : r; /* one that is mistaken keeps no others back */
        free(entries[i]);
    }
    free(entries);
    if (n < 0) {
        print_error("%s: %m", c->list_dir);
        return EXIT_FAILURE;
    }
    return status;
}
