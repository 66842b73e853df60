/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* support-bundle: one text file with what somebody needs who is asked for help. All of it goes through redact.h. */
#include "ctl.h"
#include "redact.h"

#include "base/durable.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PART_MAX (2 * 1024 * 1024) /* of one command's output; the end of it, which is the latest */
#define SECONDS "20"               /* for one command */

/* The commands that are run, each with its title. */
static const char *const commands[][14] = {
    {"uname", "-srvm"},
    {"cat", "/etc/os-release"},
    {"dpkg-query", "-W", "gatehouse*", "libgnutls30*", "libcoap*", "libmosquitto1", "bluez", "polkitd", "systemd"},
    {"uptime"},
    {"timedatectl", "status"},
    {"df", "-h", STATE_DIR, CONFIG_DIR, "/tmp"},
    {"findmnt", "-T", STATE_DIR},
    {"ls", "-laR", CONFIG_DIR, STATE_DIR, RUNTIME_DIR, REGISTRAR_DIR},
    {"systemctl", "--no-pager", "--lines=0", "status", "gatehouse*", "bluetooth", "polkit"},
    {"journalctl", "--no-pager", "--output=short-iso", "--lines=2000", "--unit=gatehouse*"},
};
static const char *const verbs_run[][4] = {{"status"}, {"list", "--no-pager"}, {"job", "list"}, {"metrics"}};

struct bundle {
    struct ctl *ctl;
    struct strbuf text;
};

static void title(struct bundle *b, const char *const *argv)
{
    strbuf_puts(&b->text, "\n==== ");
    for (size_t i = 0; argv[i]; i++)
        strbuf_printf(&b->text, "%s%s", i > 0 ? " " : "", argv[i]);
    strbuf_puts(&b->text, "\n");
}

static void add_output(struct bundle *b, int fd)
{
    _cleanup_free_ char *text = NULL;
    const char *whole;
    struct stat st;
    off_t from;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return;
    from = st.st_size > PART_MAX ? st.st_size - PART_MAX : 0;
    text = malloc((size_t)(st.st_size - from) + 1);
    n = text ? pread(fd, text, (size_t)(st.st_size - from), from) : -1;
    if (n <= 0)
        return;
    /* The rest of a line that was cut may be that of a key, which nothing shows to be one. */
    whole = from > 0 ? memchr(text, '\n', (size_t)n) : text;
    if (from > 0)
        strbuf_puts(&b->text, "(the beginning is left out)\n");
    if (whole)
        redact(whole, (size_t)(text + n - whole), &b->text);
}

/* With a time limit, as a program of this machine; what cannot be run is said. */
static void run(struct bundle *b, const char *program, const char *const *argv)
{
    const char *all[24] = {"timeout", SECONDS, program};
    _cleanup_close_ int out = memfd_create("output", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    int status = 0, r;
    size_t n = 3;
    pid_t pid;

    title(b, argv);
    for (size_t i = program == argv[0] ? 1 : 0; argv[i] && n + 1 < ELEMENTSOF(all); i++)
        all[n++] = argv[i];
    if (out < 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    r = -posix_spawnp(&pid, all[0], &actions, NULL, (char *const *)all, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r < 0) {
        strbuf_printf(&b->text, "cannot be run: %s\n", strerrordesc_np(-r));
        return;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    add_output(b, out);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        strbuf_printf(&b->text, "(status %d)\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Files of the agent's folder are not followed: its user could link to what only root may read. `folder` is open at
 * `directory`, or AT_FDCWD. */
static void add_file(struct bundle *b, int folder, const char *directory, const char *name, int nofollow)
{
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ char *path = NULL;
    struct stat st;

    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return;
    }
    title(b, (const char *const[]){path, NULL});
    fd = openat(folder, folder == AT_FDCWD ? path : name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | nofollow);
    if (fd < 0 && errno != ELOOP)
        strbuf_printf(&b->text, "cannot open %s: %s\n", name, strerrordesc_np(errno));
    else if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        strbuf_printf(&b->text, "%s: not looked at: expected a regular file\n", name);
    else
        add_output(b, fd);
}

static int is_json(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

static void add_files(struct bundle *b, const char *directory, const char *folder, int nofollow)
{
    struct dirent **entries = NULL;
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];
    int n;

    snprintf(path, sizeof(path), "%s/%s", directory, folder);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
    n = fd < 0 ? 0 : scandirat(fd, ".", &entries, is_json, alphasort);
    for (int i = 0; i < n; i++) {
        add_file(b, fd, path, entries[i]->d_name, nofollow);
        free(entries[i]);
    }
    free(entries);
}

static void collect(struct bundle *b)
{
    const char *config = b->ctl->config_dir ?: CONFIG_DIR, *state = b->ctl->state_dir ?: STATE_DIR;

    char self[PATH_MAX] = "";

    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        snprintf(self, sizeof(self), "gatehousectl");
    strbuf_puts(&b->text,
                "gatehousectl " GATEHOUSE_VERSION ": support bundle. Keys and passwords are taken out; look it "
                "through before you send it.\n");
    for (size_t i = 0; i < ELEMENTSOF(verbs_run); i++)
        run(b, self, verbs_run[i]);
    add_file(b, AT_FDCWD, config, CONFIG_FILE, 0);
    add_files(b, config, CONFIG_DEVICES_DIR, 0);
    add_files(b, state, CONFIG_DEVICES_DIR, O_NOFOLLOW);
    add_files(b, config, "profiles", 0);
    for (size_t i = 0; i < ELEMENTSOF(commands); i++)
        run(b, commands[i][0], commands[i]);
}

int verb_support_bundle(struct ctl *c, int argc, char **argv)
{
    struct bundle b = {.ctl = c};
    _cleanup_free_ char *text = NULL;
    _cleanup_close_ int fd = open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        print_error("%s: the bundle cannot be made: %m", argv[0]);
        return EXIT_FAILURE;
    }
    collect(&b);
    if (strbuf_take(&b.text, &text) < 0 || write_all(fd, text, strlen(text)) < 0) {
        print_error("%s: the bundle is not written", argv[0]);
        unlink(argv[0]);
        return EXIT_FAILURE;
    }
    ctl_result_text(c, "file", argv[0]);
    print_say(c, "%s made; look it through before you send it", argv[0]);
    return 0;
}
