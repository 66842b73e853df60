/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* provision, export: lists of devices and keys, which pass by descriptor. */
#include "ctl.h"

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

    fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        fprintf(stderr, "gatehousectl: cannot open %s: %m\n", file);
        return -1;
    }
    if (S_ISREG(st.st_mode))
        return TAKE_FD(fd);
    memory = memfd_create("list", MFD_CLOEXEC);
    if (memory < 0 || copy(fd, memory) < 0) {
        fprintf(stderr, "gatehousectl: cannot read %s: %m\n", file);
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
        fprintf(stderr, "gatehousectl: --count is a number from 1 to %d\n", DEVICES_MAX);
        return -1;
    }
    memory = memfd_create("list", MFD_CLOEXEC);
    if (memory < 0 || write_all(memory, "device\n", 7) < 0) {
        fprintf(stderr, "gatehousectl: cannot make the list: %m\n");
        return -1;
    }
    for (unsigned long i = 1; i <= n; i++) {
        snprintf(id, sizeof(id), "%.*s%0*lu", DEVICE_ID_MAX, c->prefix ?: "device-", width, i);
        if (!id_valid(id)) {
            fprintf(stderr, "gatehousectl: --prefix makes no ids of devices: expected " ID_RULE "\n");
            return -1;
        }
        if (write_all(memory, id, strlen(id)) < 0 || write_all(memory, "\n", 1) < 0) {
            fprintf(stderr, "gatehousectl: cannot make the list: %m\n");
            return -1;
        }
    }
    return TAKE_FD(memory);
}

static void print_results(json_object *job)
{
    json_object *results = json_object_object_get(job, "Results");

    for (size_t i = 0; i < json_object_array_length(results); i++) {
        json_object *result = json_object_array_get_idx(results, i);
        const char *device = json_get_string(result, "device") ?: "";

        fprintf(stderr, "gatehousectl: %s%s%s\n", json_get_string(result, "reason"), device[0] ? " " : "",
                device[0] ? device : "");
    }
}

static int finish(struct ctl *c, const char *path)
{
    _cleanup_json_ json_object *job = NULL;
    int r = job_wait(c, path, true, &job);
    bool done;

    if (r != 0)
        return r;
    done = strcmp(json_get_string(job, "State") ?: "", "done") == 0;
    if (c->output != OUTPUT_TEXT) {
        print_json(c, job);
        return done ? 0 : EXIT_FAILURE;
    }
    print_results(job);
    if (done)
        print_say(c, "%" PRIu64 " devices provisioned", json_object_get_uint64(json_object_object_get(job, "Done")));
    else
        fprintf(stderr, "gatehousectl: nothing was provisioned\n");
    return done ? 0 : EXIT_FAILURE;
}

int verb_provision(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *format = c->format ?: "csv", *path;
    _cleanup_free_ char *template = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct error e;
    size_t n;
    int r;

    if ((argc > 1) == (c->count != NULL)) {
        fprintf(stderr, "gatehousectl: provision FILE, or provision --count N [--prefix P] --template FILE\n");
        return EXIT_USAGE;
    }
    if (c->template && file_read(AT_FDCWD, c->template, CONFIG_FILE_MAX, &template, &n, &e) < 0) {
        fprintf(stderr, "gatehousectl: %s\n", e.text);
        return EXIT_FAILURE;
    }
    fd = c->count ? make_list(c) : open_list(argv[1]);
    if (fd < 0)
        return EXIT_FAILURE;
    /* A broker's list is of keys that it has. */
    r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Provision", &reply, "ha{sv}", fd, 5, "format", "s",
                 format, "template", "s", template ?: "{}", "registered", "b",
                 c->registered || strcmp(format, "csv") != 0, "skip", "b", (int)c->skip, "force", "b", (int)c->force);
    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &path) < 0)
        return EXIT_FAILURE;
    return finish(c, path);
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
        fprintf(stderr, "gatehousectl: cannot make %s: %m\n", file);
        return EXIT_FAILURE;
    }
    r = call_export(c, format, fd);
    if (r == 0 && fsync(fd) < 0) {
        fprintf(stderr, "gatehousectl: cannot sync %s: %m\n", file);
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

    if (isatty(STDOUT_FILENO) && !c->force) {
        fprintf(stderr, "gatehousectl: keys are not shown on a terminal; name a file, or --force\n");
        return EXIT_USAGE;
    }
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
        fprintf(stderr, "gatehousectl: warning: everybody can read the file that the keys go to\n");
    if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
        return call_export(c, format, STDOUT_FILENO);
    memory = memfd_create("keys", MFD_CLOEXEC);
    if (memory < 0) {
        fprintf(stderr, "gatehousectl: no memory: %m\n");
        return EXIT_FAILURE;
    }
    r = call_export(c, format, memory);
    if (r == 0 && (lseek(memory, 0, SEEK_SET) < 0 || copy(memory, STDOUT_FILENO) < 0))
        r = EXIT_FAILURE;
    return r;
}

int verb_export(struct ctl *c, int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], "-") != 0)
        return export_to_file(c, argv[1], argv[2]);
    return export_to_output(c, argv[1]);
}
