/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Serial ports that devices name: whether they are there, whether the driver may open them, and who else is on them. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/local.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SERIAL_GROUP "dialout"
#define LATENCY_MAX 2 /* milliseconds */

/* Users who configure devices choose the text, and it becomes part of commands that root is told to run. /dev/shm is
 * open to all users. */
static bool is_port(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0 && !strstr(path, "..") &&
           !strstr(path, "//") && !strstr(path, "/./") && check_path_plain(path);
}

bool check_serial_port(const char *section, char *ret, size_t size)
{
    _cleanup_json_ json_object *o = NULL;
    const char *url;
    size_t n;

    if (json_parse(section, strlen(section), &o, NULL) < 0 || !(url = json_get_string(o, "url")) ||
        strncasecmp(url, "rtu:/", 5) != 0)
        return false;
    n = strcspn(url + 4, "?");
    if (n >= size)
        return false;
    memcpy(ret, url + 4, n);
    ret[n] = 0;
    return is_port(ret);
}

bool check_cmdline_console(const char *cmdline, const char *port)
{
    size_t n = strlen(port);

    for (const char *at = cmdline; (at = strstr(at, "console=")); at++) {
        const char *name = at + strlen("console=");

        if ((at == cmdline || at[-1] == ' ') && strncmp(name, port, n) == 0 && strchr(", \n", name[n]))
            return true;
    }
    return false;
}

/* Below `root` a symbolic link must not lead out of it: those of udev are relative. */
static const char *port_name(const char *full, char resolved[PATH_MAX])
{
    ssize_t n = readlink(full, resolved, PATH_MAX - 1);
    const char *name;

    if (n > 0)
        resolved[n] = 0;
    name = strrchr(n > 0 ? resolved : full, '/');
    return name ? name + 1 : resolved;
}

static void check_rights(const struct check_place *p, const char *port, const struct stat *st, struct findings *f)
{
    const struct group *group = getgrnam(SERIAL_GROUP);
    bool of_group = group && st->st_gid == group->gr_gid && (st->st_mode & 060) == 060;

    if (of_group || (st->st_mode & 06) == 06)
        return;
    finding_mend_words(f,
                       findings_add(f, FINDING_SERIAL_DENIED, port,
                                    "mode %04o and group %u keep the driver out, which is in the group " SERIAL_GROUP,
                                    st->st_mode & 07777, st->st_gid),
                       "chgrp " SERIAL_GROUP " %s && chmod 0660 %s", port, port);
}

static void check_console(const struct check_place *p, const char *port, const char *name, struct findings *f)
{
    char cmdline[4096], path[PATH_MAX];
    bool serial0 = strcmp(port, "/dev/serial0") == 0;

    if (check_read(p, cmdline, sizeof(cmdline), "/proc/cmdline") > 0 &&
        (check_cmdline_console(cmdline, name) || (serial0 && check_cmdline_console(cmdline, "serial0")))) {
        finding_mend_words(
            f,
            findings_add(f, FINDING_SERIAL_CONSOLE, port,
                         "the kernel's console is on it (console=%s in the kernel's command line): its messages "
                         "go out to the sensors",
                         name),
            "raspi-config nonint do_serial_cons 1 && reboot");
        return;
    }
    if (check_path(p, path, sizeof(path), "/etc/systemd/system/getty.target.wants/serial-getty@%s.service", name) &&
        faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        finding_mend_words(f,
                           findings_add(f, FINDING_SERIAL_CONSOLE, port, "a login waits on it (serial-getty@%s)", name),
                           "systemctl disable --now serial-getty@%s", name);
}

static void check_latency(const struct check_place *p, const char *port, const char *name, struct findings *f)
{
    char path[PATH_MAX], text[16];
    int latency;

    snprintf(path, sizeof(path), "/sys/bus/usb-serial/devices/%.64s/latency_timer", name);
    if (check_read(p, text, sizeof(text), path) <= 0 || sscanf(text, "%d", &latency) != 1 || latency <= LATENCY_MAX)
        return;
    finding_mend_words(f,
                       findings_add(f, FINDING_SERIAL_LATENCY, port,
                                    "its converter holds received bytes back for up to %d ms, in each request",
                                    latency),
                       "echo 1 > %s", path);
}

static void check_port(const struct check_place *p, const char *port, const char *device, struct findings *f)
{
    char full[PATH_MAX], resolved[PATH_MAX];
    const char *name;
    struct stat st;

    if (!check_path(p, full, sizeof(full), "%s", port))
        return;
    if (stat(full, &st) < 0) {
        if (errno == ENOENT)
            finding_mend_words(f,
                               findings_add(f, FINDING_SERIAL_MISSING, port,
                                            "%s names it, and it is not there: is the adapter "
                                            "plugged in?",
                                            device),
                               "ls -l /dev/serial/by-id");
        else
            check_not_looked(f, full, -errno);
        return;
    }
    /* An image has plain files in their place, or none. */
    if (!p->root[0] && !S_ISCHR(st.st_mode)) {
        finding_mend_words(
            f, findings_add(f, FINDING_SERIAL_MISSING, port, "%s names it, and it is no character device", device),
            "ls -l /dev/serial/by-id");
        return;
    }
    name = port_name(full, resolved);
    check_rights(p, port, &st, f);
    check_console(p, port, name, f);
    check_latency(p, port, name, f);
}

void check_serial(const struct check_place *p, struct findings *f)
{
    char port[PATH_MAX];

    for (size_t i = 0; p->config && i < p->config->n_devices; i++)
        if (check_serial_port(p->config->devices[i]->section, port, sizeof(port)))
            check_port(p, port, p->config->devices[i]->id, f);
}
