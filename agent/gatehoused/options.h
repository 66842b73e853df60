/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* gatehoused's command line. */

#include <stdbool.h>

struct options {
    const char *config_dir, *state_dir, *runtime_dir, *registrar_dir;
    const char *keyfile; /* NULL: the credential of systemd */
    bool by_hand;        /* --runtime-dir was given: drivers of our own uid may name themselves */
    bool allow_volatile_state;
    bool check_config;
    /* for check_config, the user for check_handshakes too */
    const char *driver_program, *plugin_dir;
    const char *user; /* as whom the agent runs */
    bool check_handshakes;
    bool verify_vault;
    const char *can_open;       /* say whether this vault could be opened, and end */
    const char *backup;         /* write one to this file and end */
    const char *restore;        /* put this one back and end */
    const char *backup_keyfile; /* opens it; NULL: keyfile */
    bool recover; /* open with the recovery key on standard input, for the present keyfile and bind value, and end */
    bool force;
    bool debug;
};

/* 0: go on. Otherwise *ret_status is the exit status, and all was said. */
int options_parse(int argc, char **argv, struct options *ret, int *ret_status);
