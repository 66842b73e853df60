/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* provision, export: lists of devices and keys, which pass by descriptor. */
#include "ctl.h"
#include "input.h"

#include "base/durable.h"
#include "base/id.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ── Provision ── */

static int copy(int from, int to)
{
    char part[16384];
    ssize_t n;
    int r = 0;

    while (r >= 0 && (n = read(from, part, sizeof(part))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        r = n < 0 ? -errno : write_all(to, part, (size_t)n);
    }
    explicit_bzero(part, sizeof(part));
    return r;
}

/* The file itself, if it is one; what comes by a pipe is kept in memory, since the agent reads it twice. */
static int open_list(const char *file)
{
    _cleanup_close_ int fd = -EBADF, memory = -EBADF;
    struct stat st;

    if (strcmp(file, "-") == 0 && isatty(STDIN_FILENO)) {
        print_error("a list has keys, which are not typed where they are shown; name a file, or pipe it in");
        return -1;
    }
    fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        print_error("cannot open %s: %m", file);
        return -1;
    }
    if (S_ISREG(st.st_mode))
        return TAKE_FD(fd);
    memory = memfd_create("list", MFD_CLOEXEC);
    if (memory < 0 || copy(fd, memory) < 0) {
        print_error("cannot read %s: %m", file);
        return -1;
    }
    return TAKE_FD(memory);
}

/* PREFIX and a number, all as wide as the last. */
static int make_list(struct ctl *c)
{
    _cleanup_close_ int memory = -EBADF;
    char *end, id[DEVICE_ID_MAX + 32];
    unsigned long n = strtoul(c->count, &end, 10);
    int width = snprintf(id, sizeof(id), "%lu", n);

    if (*end || n == 0 || n > DEVICES_MAX) {
        print_error("--count is a number from 1 to %d", DEVICES_MAX);
        return -1;
    }
    memory = memfd_create("list", MFD_CLOEXEC);
    if (memory < 0 || write_all(memory, "device\n", 7) < 0) {
        print_error("cannot make the list: %m");
        return -1;
    }
    for (unsigned long i = 1; i <= n; i++) {
        snprintf(id, sizeof(id), "%.*s%0*lu", DEVICE_ID_MAX, c->prefix ?: "device-", width, i);
        if (!id_valid(id)) {
            print_error("--prefix makes no ids of devices: expected " ID_RULE "");
            return -1;
        }
        if (write_all(memory, id, strlen(id)) < 0 || write_all(memory, "\n", 1) < 0) {
            print_error("cannot make the list: %m");
            return -1;
        }
    }
    return TAKE_FD(memory);
}

static bool print_results(json_object *job)
{
    bool unused = false;
    json_object *results = json_object_object_get(job, "Results");

    for (size_t i = 0; i < json_object_array_length(results); i++) {
        json_object *result = json_object_array_get_idx(results, i);
        const char *device = json_get_string(result, "device") ?: "";

        unused = unused || strcmp(json_get_string(result, "outcome") ?: "", "unused") == 0;
        print_error("%s%s%s", json_get_string(result, "reason"), device[0] ? " " : "", device[0] ? device : "");
    }
    return unused;
}

static int finish(struct ctl *c, const char *path, bool *ret_unused)
{
    _cleanup_json_ json_object *job = NULL;
    uint64_t made, skipped;
    int r = job_wait(c, path, &(struct job_watch){.progress = true}, &job);
    bool done, unused;

    if (r != 0)
        return r;
    done = strcmp(json_get_string(job, "State") ?: "", "done") == 0;
    made = done ? json_object_get_uint64(json_object_object_get(job, "Done")) : 0;
    skipped = json_object_get_uint64(json_object_object_get(job, "Total")) - made;
    unused = print_results(job);
    if (ret_unused)
        *ret_unused = unused;
    if (!done)
        print_error("nothing was provisioned");
    else if (c->skip)
        print_say(c, "%" PRIu64 " devices provisioned, %" PRIu64 " skipped: they have a key already", made, skipped);
    else
        print_say(c, "%" PRIu64 " devices provisioned", made);
    job_result(c, path, TAKE_PTR(job));
    return done ? 0 : EXIT_FAILURE;
}

int provision_list(struct ctl *c, int fd, const char *format, const char *template, bool registered, bool *ret_unused)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *path;
    int r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Provision", &reply, "ha{sv}", fd, 5, "format", "s",
                     format, "template", "s", template ?: "{}", "registered", "b", (int)registered, "skip", "b",
                     (int)c->skip, "force", "b", (int)c->force);

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &path) < 0)
        return EXIT_FAILURE;
    return finish(c, path, ret_unused);
}

int verb_provision(struct ctl *c, int argc, char **argv)
{
    const char *format = c->format ?: "csv";
    _cleanup_free_ char *template = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct error e = {0};
    int r;

    if ((argc > 0) + (c->count != NULL) + (c->list_dir != NULL) != 1 || (c->prefix && !c->count)) {
        print_error("provision takes either a FILE, or --count=N with or without --prefix=TEXT, or --directory=DIR");
        return EXIT_USAGE;
    }
    if (c->list_dir)
        return provision_directory(c);
    if (c->template && argc > 0 && strcmp(c->template, "-") == 0 && strcmp(argv[0], "-") == 0) {
        print_error("provision: the list and its template cannot both be standard input");
        return EXIT_USAGE;
    }
    r = c->template ? input_read(c->template, &template, &e) : 0;
    if (r < 0) {
        print_error("%s", e.text[0] ? e.text : strerrordesc_np(-r));
        return EXIT_FAILURE;
    }
    fd = c->count ? make_list(c) : open_list(argv[0]);
    if (fd < 0)
        return EXIT_FAILURE;
    /* A broker's list is of keys that it has. */
    return provision_list(c, fd, format, template, c->registered || strcmp(format, "csv") != 0, NULL);
}

/* ── Export ── */

static int call_export(struct ctl *c, const char *format, int fd)
{
    if (c->uplink)
        return ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Export", NULL, "sha{sv}", format, fd, 1, "uplink",
                        "s", c->uplink);
    return ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Export", NULL, "sha{sv}", format, fd, 0);
}

static int export_to_file(struct ctl *c, const char *format, const char *file)
{
    _cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0) {
        print_error("cannot make %s: %m", file);
        return EXIT_FAILURE;
    }
    r = call_export(c, format, fd);
    if (r == 0 && fsync(fd) < 0) {
        print_error("cannot sync %s: %m", file);
        r = EXIT_FAILURE;
    }
    if (r != 0)
        unlink(file);
    return r;
}

static int export_to_output(struct ctl *c, const char *format)
{
    _cleanup_close_ int memory = -EBADF;
    struct stat st;
    int r;

    if (!key_output_fit(c))
        return EXIT_FAILURE;
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
        print_warning("everybody can read the file that the keys go to");
    if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
        return call_export(c, format, STDOUT_FILENO);
    memory = memfd_create("keys", MFD_CLOEXEC);
    if (memory < 0) {
        print_error("no memory: %m");
        return EXIT_FAILURE;
    }
    r = call_export(c, format, memory);
    if (r == 0 && (lseek(memory, 0, SEEK_SET) < 0 || copy(memory, STDOUT_FILENO) < 0))
        r = EXIT_FAILURE;
    return r;
}

int verb_export(struct ctl *c, int argc, char **argv)
{
    int r;

    if (argc < 2 || strcmp(argv[1], "-") == 0)
        return export_to_output(c, argv[0]);
    r = export_to_file(c, argv[0], argv[1]);
    if (r != 0)
        return r;
    ctl_result_text(c, "format", argv[0]);
    ctl_result_text(c, "file", argv[1]);
    return 0;
}
