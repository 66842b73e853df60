/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Radios, polkit, the time zone and plugins: what an installation lacks. */
#include "base/cleanup.h"
#include "base/names.h"
#include "check/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static bool is_there(const struct check_place *p, const char *name)
{
    char path[PATH_MAX];

    return check_path(p, path, sizeof(path), "%s", name) && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool has_driver(const struct check_place *p, const char *driver)
{
    for (size_t i = 0; p->config && i < p->config->n_devices; i++)
        if (strcmp(p->config->devices[i]->driver, driver) == 0)
            return true;
    return false;
}

/* ── Bluetooth ── */

static bool switch_is_on(const struct check_place *p, const char *name, const char *kind)
{
    char path[PATH_MAX], text[8];

    snprintf(path, sizeof(path), "/sys/class/rfkill/%s/%s", name, kind);
    return check_read(p, text, sizeof(text), path) > 0 && strcmp(text, "1") == 0;
}

static void check_switch(const struct check_place *p, const char *name, struct findings *f)
{
    char path[PATH_MAX], text[32];

    snprintf(path, sizeof(path), "/sys/class/rfkill/%s/type", name);
    if (check_read(p, text, sizeof(text), path) <= 0 || strcmp(text, "bluetooth") != 0)
        return;
    if (switch_is_on(p, name, "hard"))
        (void)findings_add(f, FINDING_BLUETOOTH_BLOCKED, name, "a switch of the machine has turned the radio off");
    else if (switch_is_on(p, name, "soft"))
        finding_mend(f, findings_add(f, FINDING_BLUETOOTH_BLOCKED, name, "the radio is blocked by software (rfkill)"),
                     "rfkill unblock bluetooth");
}

/* How many entries of a directory begin so; each is looked at. */
static size_t each(const struct check_place *p, const char *directory, const char *prefix, struct findings *f,
                   void (*look)(const struct check_place *p, const char *name, struct findings *f))
{
    char path[PATH_MAX];
    DIR *dir = check_path(p, path, sizeof(path), "%s", directory) ? opendir(path) : NULL;
    struct dirent *entry;
    size_t n = 0;

    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            n++;
            if (look)
                look(p, entry->d_name, f);
        }
    if (dir)
        closedir(dir);
    return n;
}

void check_bluetooth(const struct check_place *p, bool bluetoothd, struct findings *f)
{
    if (!has_driver(p, "ble"))
        return;
    each(p, "/sys/class/rfkill", "rfkill", f, check_switch);
    if (each(p, "/sys/class/bluetooth", "hci", f, NULL) == 0)
        finding_mend(
            f,
            findings_add(f, FINDING_BLUETOOTH_ADAPTER, "",
                         "devices have the driver ble, and there is no adapter: is it plugged in, or turned off in "
                         "config.txt (dtoverlay=disable-bt)?"),
            "grep -n disable-bt /boot/firmware/config.txt");
    if (!bluetoothd)
        finding_mend(f,
                     findings_add(f, FINDING_BLUETOOTH_DAEMON, "", "org.bluez is not on the system bus%s",
                                  is_there(p, "/usr/libexec/bluetooth/bluetoothd") ? "" : ": it is not installed"),
                     is_there(p, "/usr/libexec/bluetooth/bluetoothd") ? "systemctl enable --now bluetooth"
                                                                      : "apt install bluez");
}

/* ── The rest ── */

void check_polkit(const struct check_place *p, struct findings *f)
{
    if (!is_there(p, "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"))
        finding_mend(f,
                     findings_add(f, FINDING_POLKIT_ABSENT, "",
                                  "polkit is not installed: root and the group " ADMIN_GROUP
                                  " may act, and nobody is asked for a password"),
                     "apt install polkitd");
}

void check_time_zone(const struct check_place *p, struct findings *f)
{
    char path[PATH_MAX], target[PATH_MAX];
    const struct window *w = p->config ? &p->config->rotation.window : NULL;
    ssize_t n;

    if (!w || !w->set || !check_path(p, path, sizeof(path), "/etc/localtime"))
        return;
    n = readlink(path, target, sizeof(target) - 1);
    target[MAX_OF(n, (ssize_t)0)] = 0;
    if (n > 0 && !strstr(target, "UTC") && !strstr(target, "UCT") && !strstr(target, "Universal"))
        return;
    finding_mend(
        f,
        findings_add(f, FINDING_TIME_ZONE, "",
                     "the rotation's window from %02u:%02u to %02u:%02u is one of UTC, the machine's time zone",
                     w->from / 60, w->from % 60, w->to / 60, w->to % 60),
        "timedatectl set-timezone Europe/Berlin");
}

static bool is_first(const struct config *c, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(c->devices[k]->driver, c->devices[i]->driver) == 0)
            return false;
    return true;
}

void check_plugins(const struct check_place *p, struct findings *f)
{
    char path[PATH_MAX];

    for (size_t i = 0; p->config && i < p->config->n_devices; i++) {
        const char *driver = p->config->devices[i]->driver;

        if (!is_first(p->config, i) || !check_path(p, path, sizeof(path), "%s/%s.so", p->plugin_dir, driver))
            continue;
        if (access(path, F_OK) == 0 || errno != ENOENT) {
            check_plugin_loads(p, driver, f);
            continue;
        }
        /* The simulation comes with the development cloud. */
        finding_mend(f,
                     findings_add(f, FINDING_DRIVER_MISSING, driver, "%s names it, and there is no %s",
                                  p->config->devices[i]->id, path),
                     strcmp(driver, "sim") == 0 ? "apt install gatehouse-devcloud" : "apt install gatehouse-plugin-%s",
                     driver);
    }
}
