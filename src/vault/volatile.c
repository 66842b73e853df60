/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/volatile.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#ifndef RAMFS_MAGIC
#define RAMFS_MAGIC 0x858458f6
#endif

/* Copies up to a separator or the end, undoing mountinfo's \ooo and overlayfs's own \: and \, . Length or -1. */
static ssize_t unescape(const char *text, const char *end, char *out, size_t size)
{
    size_t n = 0;

    for (const char *p = text; p < end; p++) {
        char c = *p;

        if (c == '\\' && end - p >= 4 && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
            p[3] <= '7') {
            c = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 3;
        } else if (c == '\\' && end - p >= 2) {
            c = *++p;
        }
        if (n + 1 >= size)
            return -1;
        out[n++] = c;
    }
    out[n] = 0;
    return (ssize_t)n;
}

/* Super options of an overlay: comma-separated; the octal escapes keep a comma in a path apart from a separator. */
static enum overlay_answer parse_options(const char *options, const char *end, char *upper, size_t size)
{
    enum overlay_answer answer = OVERLAY_NO_UPPER;

    for (const char *p = options; p < end;) {
        const char *stop = p;

        while (stop < end && *stop != ',')
            stop += *stop == '\\' && stop + 1 < end ? 2 : 1;
        if (stop - p == 8 && strncmp(p, "volatile", 8) == 0)
            return OVERLAY_NEVER_SYNC;
        if (stop - p > 9 && strncmp(p, "upperdir=", 9) == 0)
            answer = unescape(p + 9, stop, upper, size) < 0 ? OVERLAY_NOT_FOUND : OVERLAY_UPPER;
        p = stop + 1;
    }
    return answer;
}

/* One line: "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS". */
static bool line_matches(const char *line, size_t n, unsigned long long mount_id, dev_t device,
                         const char **ret_options)
{
    unsigned long long id, parent;
    unsigned major, minor;
    const char *separator, *type, *p;
    int consumed = 0;

    if (sscanf(line, "%llu %llu %u:%u %n", &id, &parent, &major, &minor, &consumed) < 4 || consumed == 0)
        return false;
    if (mount_id != 0 ? id != mount_id : makedev(major, minor) != device)
        return false;
    separator = memmem(line, n, " - ", 3);
    if (!separator)
        return false;
    type = separator + 3;
    if ((size_t)(line + n - type) < 8 || strncmp(type, "overlay ", 8) != 0)
        return false;
    p = memchr(type + 8, ' ', (size_t)(line + n - type - 8));
    if (!p)
        return false;
    *ret_options = p + 1;
    return true;
}

enum overlay_answer overlay_find(const char *mountinfo, unsigned long long mount_id, dev_t device, char *upper,
                                 size_t size)
{
    enum overlay_answer answer = OVERLAY_NOT_FOUND;

    for (const char *line = mountinfo; *line;) {
        size_t n = strcspn(line, "\n");
        const char *options;

        /* The last of several is the one on top. */
        if (line_matches(line, n, mount_id, device, &options))
            answer = parse_options(options, line + n, upper, size);
        line += n + (line[n] == '\n');
    }
    return answer;
}

static int read_mountinfo(char **ret)
{
    _cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *text = NULL;
    size_t n = 0, allocated = 0;

    if (fd < 0)
        return -errno;
    for (;;) {
        ssize_t k;

        if (allocated - n < 4096) {
            char *larger = realloc(text, allocated + 65536);

            if (!larger)
                return -ENOMEM;
            text = larger;
            allocated += 65536;
        }
        k = read(fd, text + n, allocated - n - 1);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            break;
        n += (size_t)k;
    }
    text[n] = 0;
    *ret = TAKE_PTR(text);
    return 0;
}

static const char *volatile_type(const struct statfs *fs)
{
    switch ((uint32_t)fs->f_type) {
    case TMPFS_MAGIC:
        return "tmpfs";
    case RAMFS_MAGIC:
        return "ramfs";
    }
    return NULL;
}

static int check_overlay(const char *path, char why[VOLATILE_WHY_MAX])
{
    _cleanup_free_ char *mountinfo = NULL;
    char upper[PATH_MAX];
    struct statfs fs;
    struct statx stx;
    int r = read_mountinfo(&mountinfo);

    if (r < 0)
        return r;
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &stx) < 0)
        return -errno;
    switch (overlay_find(mountinfo, stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0,
                         makedev(stx.stx_dev_major, stx.stx_dev_minor), upper, sizeof(upper))) {
    case OVERLAY_NO_UPPER:
        snprintf(why, VOLATILE_WHY_MAX, "%s is on an overlay without an upper directory", path);
        return VOLATILE_YES;
    case OVERLAY_NEVER_SYNC:
        snprintf(why, VOLATILE_WHY_MAX, "%s is on an overlay mounted volatile, which syncs nothing", path);
        return VOLATILE_YES;
    case OVERLAY_NOT_FOUND:
        snprintf(why, VOLATILE_WHY_MAX, "%s is on an overlay that /proc/self/mountinfo does not tell of", path);
        return VOLATILE_UNKNOWN;
    case OVERLAY_UPPER:
        break;
    }
    if (statfs(upper, &fs) < 0 || (uint32_t)fs.f_type == OVERLAYFS_SUPER_MAGIC) {
        snprintf(why, VOLATILE_WHY_MAX, "%s is on an overlay whose upper directory %.128s cannot be looked at", path,
                 upper);
        return VOLATILE_UNKNOWN;
    }
    if (!volatile_type(&fs))
        return VOLATILE_NO;
    snprintf(why, VOLATILE_WHY_MAX, "%s is on an overlay whose upper directory is on %s: gone at the next reboot", path,
             volatile_type(&fs));
    return VOLATILE_YES;
}

int volatile_check(const char *path, char why[VOLATILE_WHY_MAX])
{
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return -errno;
    if ((uint32_t)fs.f_type == OVERLAYFS_SUPER_MAGIC)
        return check_overlay(path, why);
    if (!volatile_type(&fs))
        return VOLATILE_NO;
    snprintf(why, VOLATILE_WHY_MAX, "%s is on %s: gone at the next reboot", path, volatile_type(&fs));
    return VOLATILE_YES;
}
