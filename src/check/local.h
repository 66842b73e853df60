/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Collectors that look at the machine itself, with the rights of the caller: the agent's sandbox hides most of it from
 * the agent. Each adds its findings, and what it may not see is noted as `not-looked`. They block on files, and
 * check_plugins() on a driver host, within CHECK_PLUGIN_WAIT, check_handshakes() on gatehoused, which ends by itself.
 * For programs with nothing else to do; any thread. */

#include "check/findings.h"
#include "check/place.h"

#include <stdint.h>

/* files.c */
void check_not_looked(struct findings *f, const char *path, int r);
/* Pure: whether a path that others chose may stand in a command as it is. */
bool check_path_plain(const char *path);

/* files.c: keyfile, configuration and state directory: modes, owners, kind of file system, room. */
void check_keyfile(const struct check_place *p, struct findings *f);
/* Whether systemd decrypts it for the agent. */
bool check_keyfile_encrypted(const struct check_place *p);
void check_configuration(const struct check_place *p, const struct mistakes *mistakes, struct findings *f);

/* state.c: the state directory, and the wear of memory cards. */
void check_state_dir(const struct check_place *p, struct findings *f);
void check_cards(const struct check_place *p, struct findings *f);
/* Pure: whether a file system has no room, and the words. */
struct check_room {
    uint64_t free_bytes, free_inodes;
    bool has_inodes, read_only;
};
bool check_room(const struct check_room *room, char *ret, size_t size);

/* serial.c: the ports that devices name. */
void check_serial(const struct check_place *p, struct findings *f);
/* Pure: the port of a device's section (JSON), and whether the kernel's console is on the port of that name. */
bool check_serial_port(const char *section, char *ret, size_t size);
bool check_cmdline_console(const char *cmdline, const char *port);

/* machine.c: `bluetoothd`: whether org.bluez is on the bus. */
void check_bluetooth(const struct check_place *p, bool bluetoothd, struct findings *f);
void check_polkit(const struct check_place *p, struct findings *f);
void check_time_zone(const struct check_place *p, struct findings *f);
void check_plugins(const struct check_place *p, struct findings *f);

/* handshakes.c: each device's, or why none is tried. For when no agent runs: it would be disturbed. */
void check_handshakes(const struct check_place *p, struct findings *f);

/* plugin.c: one that is there. Runs a driver host, within CHECK_PLUGIN_WAIT. */
void check_plugin_loads(const struct check_place *p, const char *driver, struct findings *f);
