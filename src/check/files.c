/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modes and owners of what must be the agent's alone, or only an administrator's. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/names.h"
#include "check/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PLAIN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+-/"

void check_not_looked(struct findings *f, const char *path, int r)
{
    if (r == -EACCES || r == -EPERM)
        finding_mend_words(f,
                           findings_add(f, FINDING_NOT_LOOKED, "",
                                        "%s and what is behind it could not be looked at: %s", path,
                                        strerrordesc_np(-r)),
                           "sudo gatehousectl check");
}

bool check_path_plain(const char *path)
{
    return path[0] == '/' && !strstr(path, "/../") && path[strspn(path, PLAIN_CHARACTERS)] == 0;
}

/* ── The keyfile ── */

static bool has_vault(const struct check_place *p)
{
    char path[PATH_MAX];

    return check_path(p, path, sizeof(path), "%s/" VAULT_FILE, p->state_dir) && access(path, F_OK) == 0;
}

static void missing_keyfile(const struct check_place *p, const char *path, struct findings *f)
{
    if (has_vault(p))
        finding_mend_words(
            f,
            findings_add(f, FINDING_KEYFILE_MISSING, path,
                         "it is not there, and the vault in %s opens with it alone: bring it back from a copy, or "
                         "recover with the recovery key",
                         p->state_dir),
            "install -m 0400 COPY %s", path);
    else
        finding_mend_words(f,
                           findings_add(f, FINDING_KEYFILE_MISSING, path, "it is not there, nor is there a vault yet"),
                           "gatehousectl vault init --keyfile %s", path);
}

/* systemd decrypts it for the agent: README.Debian's command has made this file. */
bool check_keyfile_encrypted(const struct check_place *p)
{
    char path[PATH_MAX];

    return check_path(p, path, sizeof(path), "%s", KEYFILE_ENCRYPTED_UNIT) && access(path, F_OK) == 0;
}

void check_keyfile(const struct check_place *p, struct findings *f)
{
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];
    struct stat st;

    if (!check_path(p, path, sizeof(path), "%s", p->keyfile))
        return;
    fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        missing_keyfile(p, path, f);
        return;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        check_not_looked(f, path, -errno);
        return;
    }
    if (!S_ISREG(st.st_mode) || (check_keyfile_encrypted(p) ? st.st_size <= KEYFILE_SIZE : st.st_size != KEYFILE_SIZE))
        finding_mend_words(f,
                           findings_add(f, FINDING_KEYFILE_MODE, path,
                                        "a keyfile is a regular file of %d bytes, this has %lld", KEYFILE_SIZE,
                                        (long long)st.st_size),
                           "install -m 0400 COPY %s", path);
    else if (st.st_mode & 077)
        finding_mend_words(
            f,
            findings_add(f, FINDING_KEYFILE_MODE, path,
                         "mode %04o lets others than its owner read it, so the agent refuses it: expected 0400",
                         st.st_mode & 07777),
            "chmod 0400 %s", path);
    else if (st.st_uid != 0 && st.st_uid != p->uid)
        finding_mend_words(f,
                           findings_add(f, FINDING_KEYFILE_MODE, path,
                                        "it belongs to uid %u: expected root, or the agent's user %s", st.st_uid,
                                        p->user),
                           "chown root:root %s", path);
}

/* ── The configuration ── */

static void check_config_file(const struct check_place *p, const char *path, struct findings *f)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        check_not_looked(f, path, -errno);
        return;
    }
    if (st.st_mode & 022)
        finding_mend_words(f,
                           findings_add(f, FINDING_CONFIG_WRITABLE, path,
                                        "mode %04o lets others than its owner write it", st.st_mode & 07777),
                           "chmod go-w %s", path);
    else if (st.st_uid != 0 && st.st_uid != p->uid)
        finding_mend_words(
            f, findings_add(f, FINDING_CONFIG_WRITABLE, path, "it belongs to uid %u, who may write it", st.st_uid),
            "chown root:root %s", path);
    /* Of the group nothing is known here: a mode that shuts everybody else out is the trap of a strict umask. */
    if (p->uid != 0 && st.st_uid != p->uid && !(st.st_mode & (S_ISDIR(st.st_mode) ? 055 : 044)))
        finding_mend_words(f,
                           findings_add(f, FINDING_CONFIG_UNREADABLE, path, "mode %04o shuts the agent's user %s out",
                                        st.st_mode & 07777, p->user),
                           "chmod %s %s", S_ISDIR(st.st_mode) ? "0755" : "0644", path);
}

static void check_directory(const struct check_place *p, const char *path, struct findings *f)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir) {
        check_not_looked(f, path, -errno);
        return;
    }
    check_config_file(p, path, f);
    while ((entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);
        char file[PATH_MAX];

        if (entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0 &&
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file))
            check_config_file(p, file, f);
    }
    closedir(dir);
}

static void add_mistakes(const struct mistakes *mistakes, struct findings *f)
{
    for (size_t i = 0; i < mistakes->n; i++) {
        const struct mistake *m = &mistakes->list[i];
        struct finding *finding;
        char place[PATH_MAX];

        snprintf(place, sizeof(place), m->line > 0 ? "%s:%u:%u" : "%s", m->file, m->line, m->column);
        finding = findings_add(f, FINDING_BAD_SETTING, place, "%s", m->text);
        if (check_path_plain(m->file))
            finding_mend_words(f, finding, "sudoedit %s && sudo gatehousectl reload", m->file);
    }
}

void check_configuration(const struct check_place *p, const struct mistakes *mistakes, struct findings *f)
{
    static const char *const directories[] = {"", ("/" CONFIG_DEVICES_DIR), "/profiles"};
    char path[PATH_MAX];

    add_mistakes(mistakes, f);
    for (size_t i = 0; i < ELEMENTSOF(directories); i++)
        if (check_path(p, path, sizeof(path), "%s%s", p->config_dir, directories[i]))
            check_directory(p, path, f);
}
