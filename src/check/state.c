/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state directory and the disk below it. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "check/local.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

bool check_room(const struct check_room *room, char *ret, size_t size)
{
    if (room->free_bytes < CHECK_ROOM_MIN)
        snprintf(ret, size, "%llu KiB are free: expected at least %d MiB", (unsigned long long)room->free_bytes / 1024,
                 (int)(CHECK_ROOM_MIN / 1024 / 1024));
    else if (room->has_inodes && room->free_inodes == 0)
        snprintf(ret, size, "no file can be made (no inode is free)");
    else if (room->read_only)
        snprintf(ret, size, "the file system is read-only: after an error, or by its mount options");
    else
        return false;
    return true;
}

static void check_disk(const char *path, struct findings *f)
{
    struct statvfs vfs;
    struct statfs fs;
    char text[256];

    if (statvfs(path, &vfs) < 0 || statfs(path, &fs) < 0)
        return;
    if ((uint32_t)fs.f_type == TMPFS_MAGIC || (uint32_t)fs.f_type == RAMFS_MAGIC)
        finding_mend_words(
            f,
            findings_add(f, FINDING_STATE_VOLATILE, path,
                         "it is in memory: keys and samples would be lost at a reboot, so no key is rotated"),
            "findmnt --target %s", path);
    if (check_room(&(struct check_room){.free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize,
                                        .free_inodes = vfs.f_favail,
                                        .has_inodes = vfs.f_files > 0,
                                        .read_only = vfs.f_flag & ST_RDONLY},
                   text, sizeof(text)))
        finding_mend_words(f, findings_add(f, FINDING_STATE_FULL, path, "%s", text),
                           vfs.f_flag & ST_RDONLY ? "findmnt --target %s" : "du -xh --max-depth=2 %s | sort -h | tail",
                           path);
}

void check_state_dir(const struct check_place *p, struct findings *f)
{
    char path[PATH_MAX];
    struct stat st;

    if (!check_path(p, path, sizeof(path), "%s", p->state_dir))
        return;
    if (stat(path, &st) < 0) {
        if (errno == ENOENT)
            finding_mend_words(f, findings_add(f, FINDING_STATE_OWNER, path, "it is not there"),
                               "install -d -m 0700 -o %s -g %s %s", p->user, p->user, path);
        else
            check_not_looked(f, path, -errno);
        return;
    }
    if (p->uid != (uid_t)-1 && st.st_uid != p->uid)
        finding_mend_words(f,
                           findings_add(f, FINDING_STATE_OWNER, path,
                                        "it belongs to uid %u: expected the agent's user %s (%u)", st.st_uid, p->user,
                                        p->uid),
                           "chown -R %s:%s %s", p->user, p->user, path);
    else if (st.st_mode & 022)
        finding_mend_words(f,
                           findings_add(f, FINDING_STATE_OWNER, path,
                                        "mode %04o lets others than the agent change what is in it",
                                        st.st_mode & 07777),
                           "chmod 0700 %s", path);
    check_disk(path, f);
}

/* ── Wear ── */

/* "0x01 0x02": tenths of the life that are used up, of two kinds of memory; the larger one, or -1. */
static int parse_life(const char *text)
{
    unsigned a, b;
    int n = sscanf(text, "0x%2x 0x%2x", &a, &b);

    return n < 1 ? -1 : (int)(n == 2 ? MAX_OF(a, b) : a);
}

static void check_card(const struct check_place *p, const char *name, struct findings *f)
{
    char path[PATH_MAX], text[64];
    int life = -1, reserve = -1;

    snprintf(path, sizeof(path), "/sys/block/%s/device/life_time", name);
    if (check_read(p, text, sizeof(text), path) > 0)
        life = parse_life(text);
    snprintf(path, sizeof(path), "/sys/block/%s/device/pre_eol_info", name);
    if (check_read(p, text, sizeof(text), path) > 0)
        reserve = parse_life(text);
    if (life >= CARD_LIFE_TENTHS || reserve >= 2)
        finding_mend_words(f,
                           findings_add(f, FINDING_CARD_WORN, name, "it says that %s%d %% of its life are used up%s",
                                        life > 10 ? "more than " : "", life < 0 ? 80 : MIN_OF(life, 10) * 10,
                                        reserve >= 3   ? ", and that its reserve is nearly exhausted"
                                        : reserve == 2 ? ", and that 80 % of its reserve are"
                                                       : ""),
                           "gatehousectl vault backup FILE");
}

void check_cards(const struct check_place *p, struct findings *f)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir = check_path(p, path, sizeof(path), "/sys/block") ? opendir(path) : NULL;

    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, "mmcblk", 6) == 0)
            check_card(p, entry->d_name, f);
    if (dir)
        closedir(dir);
}
